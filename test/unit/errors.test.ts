/** The one error class, and its table of codes. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, PlugbayError } from '#src/errors.js'
// @ts-expect-error a plain script
import { errorsPage } from '../../scripts/errors-doc.mjs'

describe('PlugbayError', () => {
  test('has no cause unless one is given, and keeps one that is undefined', () => {
    expect('cause' in new PlugbayError('PROTOCOL', 'x')).toBe(false)
    expect('cause' in new PlugbayError('PROTOCOL', 'x', { cause: undefined })).toBe(true)
  })

  test('is known by its brand, not by its class', () => {
    const other = Object.defineProperty(new Error('from another copy'), Symbol.for('plugbay.error'), { value: true })
    expect(PlugbayError.is(other)).toBe(true)
    expect(PlugbayError.is(new Error('x'))).toBe(false)
    expect(PlugbayError.is(undefined)).toBe(false)
    expect(PlugbayError.is('PROTOCOL')).toBe(false)
  })
})

describe('the table of codes', () => {
  test('is what docs/errors.md shows', () => {
    const page = readFileSync(fileURLToPath(new URL('../../docs/errors.md', import.meta.url)), 'utf8')
    expect(page, 'docs/errors.md is stale: run `npm run docs:errors`').toBe(errorsPage(ERROR_CODES))
  })

  test('says of each code in one sentence when it happens', () => {
    for (const [code, meaning] of Object.entries(ERROR_CODES)) {
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/)
      expect(meaning, code).toMatch(/^[A-Z].*\.$/)
    }
  })
})
