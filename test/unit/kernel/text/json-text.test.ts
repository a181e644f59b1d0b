import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJson, parseUniqueJson, positionOf } from '#src/kernel/text/json-text.js'

describe('JSON that people write', () => {
  test('any JSON value comes back as it was, with or without a byte order mark', () => {
    fc.assert(
      fc.property(fc.json(), fc.boolean(), (text, marked) => {
        expect(parseJson(marked ? `\uFEFF${text}` : text)).toEqual({ value: JSON.parse(text) })
      }),
    )
  })

  test.each([
    ['{ "a": 1, }', 1, 11, "a comma before '}'"],
    ['[1,\n 2,\n]', 3, 1, "a comma before ']'"],
    ['{\n  // why\n}', 2, 3, 'no comments'],
    ["{ 'a': 1 }", 1, 3, 'double quotes'],
    ['{ a: 1 }', 1, 3, "'a' where a key"],
    ['{ "a" 1 }', 1, 7, "'1' where ':' was expected"],
    ['{ "a": 1 "b": 2 }', 1, 10, "a string where ',' or '}' was expected"],
    ['{ "a": ', 1, 8, 'the text ends'],
    ['', 1, 1, 'the text ends'],
    ['{ "a": 01 }', 1, 9, "'1'"],
    ['{ "a": "x\ny" }', 1, 8, 'bare line break'],
    ['{ "a": undefined }', 1, 8, "'u' where a value"],
    ['{} {}', 1, 4, "'{' where the end was expected"],
  ])('%j is wrong at %i:%i', (text, line, column, reason) => {
    expect(parseJson(text)).toEqual({ fault: { line, column, reason: expect.stringContaining(reason) } })
  })

  test('a fault is found in whatever JSON.parse refuses, within the text', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.constantFrom(',', '}', ']', '"', ':', 'x', '\u0001'), (text, at, noise) => {
        const where = at % (text.length + 1)
        const broken = text.slice(0, where) + noise + text.slice(where)
        const result = parseJson(broken)
        if ('value' in result) expect(result.value).toEqual(JSON.parse(broken))
        else {
          expect(() => JSON.parse(broken) as unknown).toThrow()
          expect(result.fault.reason).not.toMatch(/JSON at|not valid JSON/) // V8's words would mean that our walk found nothing
          expect(result.fault.column).toBeLessThanOrEqual(broken.length + 1)
        }
      }),
    )
  })

  test.each([
    ['{ "a": 1,\n  "a": 2 }', 2, 3, '"a"'],
    ['\uFEFF[{ "a": { "b": 1, "c": 2, "b": 3 } }]', 1, 27, '"b"'],
    ['{ "__proto__": 1, "__proto__": 1 }', 1, 19, '"__proto__"'],
  ])('a key that is there twice in %j is a fault where that is asked for', (text, line, column, key) => {
    expect(parseJson(text)).toHaveProperty('value')
    expect(parseUniqueJson(text)).toEqual({ fault: { line, column, reason: `the key ${key} is there twice` } })
  })

  test('the same key in two objects, and as a value, is none', () => {
    const value = { a: { a: 'a' }, b: [{ a: 1 }, { a: 1 }, 'a', 'a'], 'c": ': '"a": "a":' }
    expect(parseUniqueJson(JSON.stringify(value))).toEqual({ value })
    expect(parseUniqueJson('{')).toHaveProperty('fault')
  })

  test('a position is counted from 1', () => {
    expect(positionOf('ab\ncd', 0)).toEqual({ line: 1, column: 1 })
    expect(positionOf('ab\ncd', 4)).toEqual({ line: 2, column: 2 })
  })
})
