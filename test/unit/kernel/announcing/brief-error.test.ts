/** Faults as they are told, whatever plugins have their errors say. */
import { expect, test } from 'vitest'
import { PlugbayError } from '#src/errors.js'
import { brief, briefError } from '#src/kernel/announcing/brief-error.js'
import { fromWire, isOwn, toWire } from '#src/wire-error.js'

const sizeOf = (error: Error): number => JSON.stringify(toWire(error)).length

test('an error that is not long is told as it is', () => {
  const error = new PlugbayError('PLUGIN_CRASHED', 'gone', { plugin: 'p', cause: new Error('x'.repeat(4_000)) })
  expect(briefError(error)).toBe(error)
})

test('of a long one the beginning is told, and how long it was, also where it was cut before', () => {
  const said = 'x'.repeat(100_000)
  expect(brief(said)).toBe(`${'x'.repeat(4_096)}… (100000 characters)`)
  const crossed = fromWire(toWire(new TypeError(said)))
  expect(crossed.message).toHaveLength(16_384 + '… (100000 characters)'.length)
  const told = briefError(crossed)
  expect(told.message).toBe(`${'x'.repeat(4_096)}… (100000 characters)`)
  expect(told.name).toBe('TypeError')
  expect(isOwn(briefError(fromWire(toWire(new PlugbayError('PERMISSION_DENIED', said)))))).toBe(false)
})

test('where it was thrown stays, behind what it says', () => {
  const cause = new Error('y'.repeat(10_000))
  expect(cause.stack).toContain('brief-error.test')
  const told = briefError(new PlugbayError('PLUGIN_START', 'It failed.', { plugin: 'p', cause, details: { phase: 'start' } }))
  expect(told).toMatchObject({ code: 'PLUGIN_START', message: 'It failed.', plugin: 'p', details: { phase: 'start' } })
  expect((told.cause as Error).message).toBe(`${'y'.repeat(4_096)}… (10000 characters)`)
  expect(isOwn(told)).toBe(true)
})

test('an error as large as it can be made is told in a bounded one', () => {
  const long = 'z'.repeat(100_000)
  let error = new Error(long)
  for (let depth = 0; depth < 20; depth++) {
    error = Object.assign(new Error(long, { cause: error }), { details: { long }, more: long })
  }
  const told = briefError(new AggregateError([error, error], long, { cause: error }))
  expect(sizeOf(told)).toBeLessThan(50_000)
  expect(told.message).toMatch(/\(100000 characters\)$/)
})
