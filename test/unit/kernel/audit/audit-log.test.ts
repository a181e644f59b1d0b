/** The audit log on a real disk: order, files, crashes, disks that refuse; and that nothing done to it stays unseen. */
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AuditLog } from '#src/kernel/audit/audit-log.js'
import { lockFolder } from '#src/kernel/audit/lock.js'
import { lastEntries, verifyAudit } from '#src/kernel/audit/verify.js'
import { eventually } from '../../../support/eventually.js'
import { emptyFolder, keptLog, type LogLine } from '../../../support/plugin-folder.js'

interface Kept {
  log: AuditLog
  lines: LogLine[]
}

const opened = (dir: string, { maxBytes = 1_000_000, keep = 10 } = {}): Kept => {
  const { logger, lines } = keptLog()
  const log = new AuditLog({ dir, maxBytes, keep, log: logger })
  onTestFinished(() => log.close())
  return { log, lines }
}

const write = async (dir: string, from: number, to: number, options?: { maxBytes?: number; keep?: number }): Promise<void> => {
  const { log } = opened(dir, options)
  for (let number = from; number <= to; number++)
    log.append({ kind: 'test', plugin: 'p', actor: 'tester', reason: `nr ${number} ä`, details: { number } })
  await log.close()
}

const files = (dir: string): string[] =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
const newest = (dir: string): string => join(dir, files(dir).at(-1) ?? '')
const numbers = async (dir: string): Promise<unknown[]> =>
  (await lastEntries(dir, 1_000)).filter(({ kind }) => kind === 'test').map(({ details }) => details?.['number'])
const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, at) => at + first)
const kinds = async (dir: string): Promise<string[]> =>
  (await lastEntries(dir, 1_000)).map(({ kind }) => kind).filter((kind) => kind !== 'test')

describe('writing', () => {
  test('keeps the order, and the chain goes on from run to run', async () => {
    const dir = join(emptyFolder(), 'log')
    await write(dir, 1, 40)
    await write(dir, 41, 90)
    expect(await numbers(dir)).toEqual(upTo(90))
    expect(await verifyAudit(dir)).toMatchObject({ files: 1, lines: 90, dropped: 0, faults: [], last: { seq: 90 } })
    expect(readdirSync(dir)).toHaveLength(2)
  })

  test('gives each entry its time, number, actor and reason', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 1)
    const [entry] = await lastEntries(dir, 1)
    expect(entry).toMatchObject({ seq: 1, kind: 'test', plugin: 'p', actor: 'tester', reason: 'nr 1 ä', previous: '0'.repeat(64) })
    expect(Date.now() - Date.parse(entry?.time ?? '')).toBeLessThan(60_000)
  })

  test('begins another file when one is full, and the chain goes through all of them', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 100, { maxBytes: 4_096, keep: 100 })
    expect(files(dir).length).toBeGreaterThan(5)
    for (const name of files(dir)) expect(readFileSync(join(dir, name)).length).toBeLessThanOrEqual(4_096)
    expect(await verifyAudit(dir)).toMatchObject({ lines: 100, dropped: 0, faults: [] })
  })

  test.each([1, 3])('keeps %i files, and says in the log which lines went with the old ones', async (keep) => {
    const dir = emptyFolder()
    await write(dir, 1, 200, { maxBytes: 4_096, keep })
    await write(dir, 201, 210, { maxBytes: 4_096, keep })
    expect(files(dir)).toHaveLength(keep)
    const report = await verifyAudit(dir)
    expect(report.faults).toEqual([])
    expect(report.dropped).toBeGreaterThan(50)
    const all = (await numbers(dir)) as number[]
    expect(all).toEqual(upTo(210, all[0]))
  })

  test('an entry larger than a file has a file of its own', async () => {
    const dir = emptyFolder()
    const { log } = opened(dir, { maxBytes: 4_096 })
    for (const reason of ['small', 'x'.repeat(9_000), 'small']) log.append({ kind: 'test', actor: 'tester', reason })
    await log.close()
    expect(files(dir)).toHaveLength(3)
    expect(await verifyAudit(dir)).toMatchObject({ lines: 3, faults: [] })
  })

  test('entries that come while a batch is written lose neither place nor themselves', async () => {
    const dir = emptyFolder()
    const { log } = opened(dir, { maxBytes: 20_000 })
    for (let number = 1; number <= 500; number++) {
      log.append({ kind: 'test', actor: 'tester', details: { number } })
      if (number % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await log.close()
    expect(await numbers(dir)).toEqual(upTo(500))
  })

  test('a second writer is kept out, told why, and its entries are there once the first has ended', async () => {
    const dir = emptyFolder()
    const first = opened(dir)
    first.log.append({ kind: 'test', actor: 'a', details: { number: 1 } })
    await eventually(async () => expect(await numbers(dir)).toEqual([1]))
    const second = opened(dir)
    second.log.append({ kind: 'test', actor: 'b', details: { number: 2 } })
    await eventually(() => expect(second.lines).toHaveLength(1))
    expect(second.lines[0]?.message).toMatch(
      /cannot be written: another kernel of this process writes to it already.*audit\.dir.*The kernel goes on/,
    )
    await first.log.close()
    await second.log.close()
    expect(await numbers(dir)).toEqual([1, 2])
    expect((await verifyAudit(dir)).faults).toEqual([])
  })

  test('the lock of a process that is gone holds nobody', async () => {
    const dir = emptyFolder()
    writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: 999_999_999, started: '1', token: 'a' }))
    await write(dir, 1, 3)
    expect(await numbers(dir)).toEqual([1, 2, 3])
  })
})

/** What a kernel does to its folder in passing, and the end of it. */
const PASSING: Record<string, (dir: string) => () => void> = {
  'a line half written': (dir) => {
    const file = newest(dir)
    const text = readFileSync(file)
    truncateSync(file, text.length - 20)
    return () => appendFileSync(file, text.subarray(-20))
  },
  'a file without a line yet': (dir) => {
    const file = join(dir, '000000000000999.jsonl')
    writeFileSync(file, '')
    return () => rmSync(file)
  },
  'a file that is gone since the folder was read': (dir) => {
    const file = join(dir, '000000000000001.jsonl')
    symlinkSync(join(dir, 'nowhere'), file)
    return () => rmSync(file)
  },
}

describe.runIf(process.platform !== 'win32')('a log that is written to', () => {
  test.each(Object.keys(PASSING))('is looked at again for %s; one that is not is damaged', async (what) => {
    const [dir, idle] = [emptyFolder(), emptyFolder()]
    for (const each of [dir, idle]) await write(each, 1, 40, { maxBytes: 1_500, keep: 3 })
    const unlock = await lockFolder(dir)
    const [end] = [dir, idle].map((each) => PASSING[what]?.(each))
    const verified = verifyAudit(dir)
    expect((await verifyAudit(idle)).faults).not.toEqual([])
    end?.()
    expect((await verified).faults).toEqual([])
    await unlock()
  })

  test('has no more last entries than there are when its older files are dropped meanwhile', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 40, { maxBytes: 1_500, keep: 3 })
    const before = await numbers(dir)
    PASSING['a file that is gone since the folder was read']?.(dir)
    expect(await numbers(dir)).toEqual(before)
  })
})

describe('a disk that refuses', () => {
  test('is told once; what waited is written when it takes it again, in order', async () => {
    const dir = join(emptyFolder(), 'log')
    writeFileSync(dir, 'a file in the place of the folder')
    const { log, lines } = opened(dir)
    log.append({ kind: 'test', actor: 'tester', details: { number: 1 } })
    await eventually(() => expect(lines).toHaveLength(1))
    expect(lines[0]).toMatchObject({
      level: 'error',
      message: expect.stringMatching(/audit log in .* cannot be written: EEXIST|ENOTDIR/) as string,
    })
    log.append({ kind: 'test', actor: 'tester', details: { number: 2 } })
    rmSync(dir)
    await eventually(() => expect(lines).toHaveLength(2))
    expect(lines[1]).toMatchObject({ level: 'warn', message: expect.stringContaining('written again') as string })
    expect(await numbers(dir)).toEqual([1, 2])
    expect((await verifyAudit(dir)).faults).toEqual([])
  })

  test('until the end: it is said how much was not written', async () => {
    const dir = join(emptyFolder(), 'log')
    writeFileSync(dir, '')
    const { log, lines } = opened(dir)
    for (let number = 0; number < 12_000; number++) log.append({ kind: 'test', actor: 'tester' })
    await log.close()
    expect(lines.map(({ message }) => message)).toEqual([
      expect.stringContaining('The kernel goes on'),
      expect.stringMatching(/^12000 entries .* were not written/),
    ])
  })

  test('what was too much to wait is counted in the log', async () => {
    const dir = emptyFolder()
    const { log } = opened(dir, { maxBytes: 10_000_000 })
    for (let number = 0; number < 10_005; number++) log.append({ kind: 'test', actor: 'tester' })
    await log.close()
    expect(await lastEntries(dir, 1)).toMatchObject([{ kind: 'audit.lost', details: { entries: 5 } }])
    expect(await verifyAudit(dir)).toMatchObject({ lines: 10_001, faults: [] })
  })

  test('a folder that is taken away meanwhile is missed, and the chain goes on with its number', async () => {
    const dir = join(emptyFolder(), 'log')
    const { log, lines } = opened(dir)
    log.append({ kind: 'test', actor: 'tester', details: { number: 1 } })
    await eventually(() => expect(readFileSync(join(dir, 'head.json'), 'utf8')).toContain('"seq":1'))
    rmSync(dir, { recursive: true })
    log.append({ kind: 'test', actor: 'tester', details: { number: 2 } })
    await eventually(() => expect(lines.map(({ level }) => level)).toEqual(['error', 'warn']))
    log.append({ kind: 'test', actor: 'tester', details: { number: 3 } })
    await log.close()
    log.append({ kind: 'test', actor: 'tester', details: { number: 4 } })
    expect(await numbers(dir)).toEqual([3])
    expect(await lastEntries(dir, 1)).toMatchObject([{ seq: 4 }])
    expect(await kinds(dir)).toEqual(['audit.damaged'])
    expect((await verifyAudit(dir)).faults).toMatchObject([
      { line: 1, message: expect.stringContaining('missing before this one') as string },
    ])
  })
})

describe('carrying on', () => {
  test('a torn last line is kept aside and told of, and the log is sound', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 5)
    appendFileSync(newest(dir), '{"seq":6,"time":"20')
    expect((await verifyAudit(dir)).faults).toMatchObject([
      { file: files(dir)[0], line: 6, message: expect.stringContaining('not written to its end') as string },
    ])
    await write(dir, 6, 8)
    expect(await kinds(dir)).toEqual(['audit.torn'])
    expect(await numbers(dir)).toEqual(upTo(8))
    expect((await verifyAudit(dir)).faults).toEqual([])
    const aside = readdirSync(dir).filter((name) => name.includes('torn'))
    expect(aside.map((name) => readFileSync(join(dir, name), 'utf8'))).toEqual(['{"seq":6,"time":"20'])
  })

  test('a torn first line of a file, too', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 5)
    writeFileSync(join(dir, '000000000000006.jsonl'), '{"se')
    await write(dir, 6, 8)
    expect(await numbers(dir)).toEqual(upTo(8))
    expect((await verifyAudit(dir)).faults).toEqual([])
  })

  test('a file that was made and not written to is made again', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 5)
    writeFileSync(join(dir, '000000000000006.jsonl'), '')
    await write(dir, 6, 8)
    expect(await numbers(dir)).toEqual(upTo(8))
    expect((await verifyAudit(dir)).faults).toEqual([])
  })

  test.each<[string, (dir: string) => void]>([
    [
      'lines at the end are gone',
      (dir) => truncateSync(newest(dir), readFileSync(newest(dir), 'latin1').split('\n').slice(0, 3).join('\n').length + 1),
    ],
    ['the last line was changed', (dir) => writeFileSync(newest(dir), readFileSync(newest(dir), 'utf8').replace('nr 5', 'nr 6'))],
    ['the head is gone', (dir) => rmSync(join(dir, 'head.json'))],
    ['the head cannot be read', (dir) => writeFileSync(join(dir, 'head.json'), '{')],
    ['all lines are gone', (dir) => rmSync(newest(dir))],
    ['all is emptied', (dir) => truncateSync(newest(dir), 0)],
  ])('when %s, the next start says so in the log, mends nothing, and goes on', async (_what, harm) => {
    const dir = emptyFolder()
    await write(dir, 1, 5)
    harm(dir)
    await write(dir, 6, 8)
    expect(await kinds(dir)).toEqual(['audit.damaged'])
    expect((await numbers(dir)).slice(-3)).toEqual([6, 7, 8])
    // A head can be written anew; lines cannot.
    expect((await verifyAudit(dir)).faults.length).toBeGreaterThan(_what.startsWith('the head') ? -1 : 0)
  })
})

describe('verifying', () => {
  test('an anchor noted earlier finds a log that was written anew', async () => {
    const [dir, forged] = [emptyFolder(), emptyFolder()]
    await write(dir, 1, 5)
    const { last } = await verifyAudit(dir)
    await write(dir, 6, 9)
    await write(forged, 101, 109)
    const anchors = last ? [last] : []
    expect((await verifyAudit(dir, anchors)).faults).toEqual([])
    expect((await verifyAudit(forged)).faults).toEqual([])
    expect((await verifyAudit(forged, anchors)).faults).toMatchObject([
      { line: 5, message: expect.stringContaining('not the one that was noted') as string },
    ])
  })

  test('an old file that was taken away is not one that was dropped', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 200, { maxBytes: 4_096, keep: 5 })
    rmSync(join(dir, files(dir)[0] ?? ''))
    expect((await verifyAudit(dir)).faults).toMatchObject([
      { file: files(dir)[0], line: 1, message: expect.stringContaining('no entry says') as string },
    ])
  })

  test('names file and line', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 60, { maxBytes: 4_096, keep: 100 })
    const [, second = ''] = files(dir)
    const lines = readFileSync(join(dir, second), 'utf8').split('\n')
    lines[2] = lines[2]?.replace('tester', 'nobody') ?? ''
    writeFileSync(join(dir, second), lines.join('\n'))
    expect((await verifyAudit(dir)).faults).toMatchObject([
      { file: second, line: 3, message: expect.stringContaining('was changed') as string },
    ])
  })

  test('finds every changed byte, every line taken out, every two lines that changed places, every end that was cut off', async () => {
    const dir = emptyFolder()
    await write(dir, 1, 30, { maxBytes: 1_500, keep: 3 })
    const names = [...files(dir), 'head.json']
    const whole = new Map(names.map((name) => [name, readFileSync(join(dir, name))]))
    const text = (name: string): Buffer => whole.get(name) ?? Buffer.alloc(0)
    expect(await verifyAudit(dir)).toMatchObject({ files: 3, faults: [] })
    const linesOf = (name: string): string[] => text(name).toString('latin1').split('\n').slice(0, -1)
    const joined = (lines: readonly string[]): Buffer => Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1')
    const byte = fc.constantFrom(...names).chain((name) =>
      fc.tuple(fc.nat(text(name).length - 1), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
        const changed = Buffer.from(text(name))
        changed[at] = (changed[at] ?? 0) ^ flip
        return { name, changed }
      }),
    )
    const out = fc
      .constantFrom(...files(dir))
      .chain((name) => fc.nat(linesOf(name).length - 1).map((at) => ({ name, changed: joined(linesOf(name).toSpliced(at, 1)) })))
    const swap = fc.constantFrom(...files(dir)).chain((name) =>
      fc.uniqueArray(fc.nat(linesOf(name).length - 1), { minLength: 2, maxLength: 2 }).map(([one = 0, other = 1]) => {
        const lines = linesOf(name)
        return { name, changed: joined(lines.with(one, lines[other] ?? '').with(other, lines[one] ?? '')) }
      }),
    )
    const cut = fc
      .constantFrom(...names)
      .chain((name) => fc.nat(text(name).length - 1).map((size) => ({ name, changed: text(name).subarray(0, size) })))
    await fc.assert(
      fc.asyncProperty(fc.oneof(byte, out, swap, cut), async ({ name, changed }) => {
        try {
          writeFileSync(join(dir, name), changed)
          expect((await verifyAudit(dir)).faults).not.toEqual([])
        } finally {
          writeFileSync(join(dir, name), text(name))
        }
      }),
      { numRuns: 250 },
    )
    expect((await verifyAudit(dir)).faults).toEqual([])
    expect(existsSync(join(dir, 'lock'))).toBe(false)
  })
})
