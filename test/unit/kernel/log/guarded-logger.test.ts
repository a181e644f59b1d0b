/** A logger that fails: nobody is disturbed, and no line is lost. */
import { stripVTControlCharacters } from 'node:util'
import { expect, it, onTestFinished, vi } from 'vitest'
import { guardedLogger } from '#src/kernel/log/guarded-logger.js'
import type { Logger, LogMethod } from '#src/kernel/log/log.js'
import { eventually } from '../../../support/eventually.js'

const onStandardError = (): string[] => {
  const written: string[] = []
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(stripVTControlCharacters(String(text))) > 0)
  onTestFinished(() => spy.mockRestore())
  return written
}

const loggerOf = (method: LogMethod): Logger => ({ debug: method, info: method, warn: method, error: method })

it('is handed every line as it is, as its own', () => {
  const lines: unknown[] = []
  class Own {
    kept = lines
    debug(): void {}
    info(...line: unknown[]): void {
      this.kept.push(line)
    }
    warn(): void {}
    error(): void {}
  }
  const fields = { user: 'ada' }
  guardedLogger(new Own()).info(fields, 'came in')
  expect(lines).toEqual([[fields, 'came in']])
  expect((lines[0] as unknown[])[0]).toBe(fields)
})

it('that throws is told of once, and what it did not take is written on standard error', () => {
  const written = onStandardError()
  const taken: string[] = []
  const { debug, error } = guardedLogger(loggerOf((fields, message) => void taken.push(`${JSON.stringify(fields)} ${message}`)))
  debug({ plugin: 'shop', generation: 2, amount: 10n }, 'paid')
  error({ plugin: 'shop', generation: 2, items: [1n] }, 'paid again')
  error({}, 'fine')
  expect(taken).toEqual(['{} fine'])
  expect(written).toHaveLength(3)
  expect(written[0]).toMatch(/ERROR kernel The logger that the kernel was given failed at a line: Do not know how to serialize a BigInt\. /)
  expect(written[1]).toMatch(/DEBUG shop#2 paid amount=10n\n$/)
  expect(written[2]).toMatch(/ERROR shop#2 paid again items=\[ 1n \]\n$/)
})

it('whose promise rejects leaves no rejection behind', async () => {
  const written = onStandardError()
  const { warn } = guardedLogger(loggerOf(() => Promise.reject(new Error('disk full')) as never))
  warn({}, 'nearly full')
  await eventually(() => expect(written).toHaveLength(2))
  expect(written[0]).toContain('failed at a line: disk full.')
  expect(written[1]).toMatch(/WARN {2}kernel nearly full\n$/)
})
