import { describe, expect, test } from 'vitest'
import { isTypeScript, stripTypes, syntaxFault } from '#src/strip-types.js'

describe('stripping types', () => {
  test('leaves every line and column where it was', () => {
    const source = "import type { A } from './a.ts'\nconst a: number = 1\n\nexport const b = <T,>(x: T): T => x as T\n"
    const stripped = stripTypes(source, 'x.ts')
    expect(stripped).toHaveLength(source.length)
    expect(stripped.indexOf('= 1')).toBe(source.indexOf('= 1'))
    expect(stripped).not.toMatch(/number|import type/)
  })

  test.each([
    ['enum A { B }', 'x.ts:1:1', 'enum'],
    ['const a = 1\nlet b: = 2', 'x.ts:2:8', '='],
    ['class A { constructor(private b: string) {} }', 'x.ts:1', 'property'],
  ])('of %j fails with the place and the reason', (source, place, reason) => {
    expect(() => stripTypes(source, 'x.ts')).toThrow(SyntaxError)
    expect(() => stripTypes(source, 'x.ts')).toThrow(place)
    expect(() => stripTypes(source, 'x.ts')).toThrow(reason)
  })
})

describe('a syntax fault', () => {
  test('is found in JavaScript too, with its place', () => {
    expect(syntaxFault('const a = 1\nexport default { a b }', '/p/x.js')?.message).toMatch(/^\/p\/x\.js:2:20: /)
  })

  test('is none where there is none', () => {
    expect(syntaxFault("import a from 'b'\nexport default await a()", 'x.js')).toBeUndefined()
  })
})

test.each([
  ['a.ts', true],
  ['a.mts', true],
  ['a.cts', true],
  ['a.js', false],
  ['ats', false],
])('%s is TypeScript: %s', (name, expected) => {
  expect(isTypeScript(name)).toBe(expected)
})
