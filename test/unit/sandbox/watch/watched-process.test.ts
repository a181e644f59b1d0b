/** A process as the watchdog sees it; the looks are made here, at the times they name. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Breach } from '#src/sandbox/plugin-host.js'
import type { Asked } from '#src/sandbox/protocol.js'
import { familyOf, orphansOf } from '#src/sandbox/watch/process-family.js'
import { statOf } from '#src/sandbox/watch/process-stat.js'
import { heapOf, WatchedProcess } from '#src/sandbox/watch/watched-process.js'
import { eventually } from '../../../support/eventually.js'

const linux = process.platform === 'linux'
const LIMITS = { memory: 4_096, cpu: 1, hang: 500 }

/** A subject over a process that counts what it is asked. */
const watched = (pid: number, limits = LIMITS) => {
  const asked: number[] = []
  const breaches: Breach[] = []
  const subject = {
    pid,
    sent: 0,
    unfinished: false,
    unread: 0,
    ask: (what: Asked): void => {
      if (what !== 'weigh') asked.push(what)
      subject.sent++
    },
  }
  const place = new WatchedProcess(subject, limits, (breach) => breaches.push(breach), 0)
  return { subject, place, asked, breaches }
}

/** A process that waits for what never comes, and takes nothing of a processor. Elsewhere than on Linux nobody looks at it. */
const idle = async (): Promise<number> => {
  if (!linux) return process.pid
  const child = spawn('cat')
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stdin.write('it runs')
  await once(child.stdout, 'data')
  await eventually(() => expect(statOf([child.pid as number])?.runnable).toBe(false))
  return child.pid as number
}

/** A process of Node's that runs this code. */
const running = (code: string): number => {
  // A group of its own, so that what it has started ends with it.
  const child = spawn(process.execPath, ['-e', code], { stdio: 'ignore', detached: true })
  const pid = child.pid as number
  onTestFinished(() => void process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL'))
  return pid
}

describe('a process that is watched', () => {
  test('takes the memory of what was written to it until it has read it', async () => {
    const { subject, place, breaches } = watched(await idle(), { ...LIMITS, memory: 256 })
    subject.unread = 100 * 2 ** 20
    place.look(25)
    expect(breaches).toEqual([])
    subject.unread = 400 * 2 ** 20
    place.look(50)
    expect(breaches).toMatchObject([{ limit: 'memory', allowed: 256, unread: 400 }])
    expect(breaches[0]?.observed).toBeGreaterThanOrEqual(400)
  })

  test.runIf(linux)('that a signal has stopped is told as that', async () => {
    const pid = await idle()
    const { place, breaches } = watched(pid)
    process.kill(pid, 'SIGSTOP')
    await eventually(() => expect(statOf([pid])?.stopped).toBe(true))
    for (let at = 25; at <= 2_000; at += 25) place.look(at)
    expect(breaches).toMatchObject([{ limit: 'hang', how: 'stopped' }])
  })

  test('is asked once after it was told something, and left in peace when it has answered', async () => {
    const { subject, place, asked, breaches } = watched(await idle())
    place.beat(0)
    let at = 0
    const look = (times: number): void => {
      for (let i = 0; i < times; i++) place.look((at += 25))
    }
    look(8)
    expect(asked).toEqual([1])
    place.beat(1)
    look(1_000)
    expect([asked, place.resting]).toEqual([[1], true])
    subject.sent++
    look(8)
    expect([asked, place.resting]).toEqual([[1, 2], false])
    place.beat(2)
    look(1_000)
    expect([asked, breaches]).toEqual([[1, 2], []])
  })

  test('that answers with the wrong number has moved, but not answered', async () => {
    const { place, asked } = watched(await idle())
    for (let at = 25; at <= 200; at += 25) place.look(at)
    place.beat(7)
    place.look(225)
    expect([asked, place.resting]).toEqual([[1], false])
  })

  test('that does not answer is told of once, by the time it got nothing done', async () => {
    const { place, breaches } = watched(await idle())
    for (let at = 25; at <= 2_000; at += 25) place.look(at)
    expect(breaches).toMatchObject([{ limit: 'hang', allowed: 500, how: linux ? 'blocked or waiting' : 'unknown' }])
    // A few looks later, where the machine has no processor for a thread of it just now.
    expect(breaches[0]?.observed).toBeGreaterThanOrEqual(500)
  })

  test.runIf(linux)('that has sent a part of a message is told as that', async () => {
    const { subject, place, breaches } = watched(await idle())
    subject.unfinished = true
    for (let at = 25; at <= 2_000; at += 25) place.look(at)
    expect(breaches).toMatchObject([{ limit: 'hang', how: 'in a message' }])
  })

  test('that gives signs of life by itself is not told of, however long it does not answer', () => {
    const { place, breaches } = watched(running('for (;;);'))
    for (let at = 25; at <= 5_000; at += 25) {
      place.beat(0)
      place.look(at)
    }
    expect(breaches).toEqual([])
  })

  test.runIf(linux)('is found to be past its memory with all that it has started', async () => {
    const pid = running(
      "require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']); setInterval(() => {}, 1e6)",
    )
    const { place, breaches } = watched(pid, { ...LIMITS, memory: 1 })
    await eventually(() => expect(familyOf(pid)).toHaveLength(2))
    await eventually(() => {
      place.look(25)
      expect(breaches[0]).toMatchObject({ limit: 'memory', allowed: 1, margin: 65 })
    })
  })

  test.runIf(linux)('has those for its family, too, that a thread of its own has started', async () => {
    const starts = "require('node:child_process').spawn('sleep', ['1000'])"
    const pid = running(`new (require('node:worker_threads').Worker)(${JSON.stringify(starts)}, { eval: true })`)
    await eventually(() => expect(familyOf(pid)).toHaveLength(2))
  })

  test.runIf(linux)('is found to be past its memory with what its children have left behind', async () => {
    const left = `["-c", '"$0" -e "setInterval(() => {}, 1e6)" & exit 0', process.execPath]`
    const pid = running(`require('node:child_process').spawn('/bin/sh', ${left}); setInterval(() => {}, 1e6)`)
    const { place, breaches } = watched(pid, { ...LIMITS, memory: 1 })
    await eventually(() => expect(orphansOf(pid)).toHaveLength(1))
    // The one between them may have yet to be buried.
    await eventually(() => expect(familyOf(pid)).toEqual([pid, ...orphansOf(pid)]))
    await eventually(() => {
      place.look(25)
      expect(breaches[0]).toMatchObject({ limit: 'memory', allowed: 1, margin: 65 })
    })
  })

  test.runIf(linux)('that says it exits is not told of for what it leaves undone, and is for the memory it takes meanwhile', async () => {
    const { place, breaches } = watched(
      running('setTimeout(() => { globalThis.kept = Buffer.alloc(3e8, 1) }, 100); setInterval(() => {}, 1e6)'),
      {
        ...LIMITS,
        memory: 150,
      },
    )
    place.leaves()
    for (let at = 25; at <= 2_000; at += 25) place.look(at)
    expect(breaches.filter(({ limit }) => limit === 'hang')).toEqual([])
    await eventually(() => {
      place.look(2_025)
      expect(breaches[0]).toMatchObject({ limit: 'memory', allowed: 150 })
    })
  })

  test("meets V8's own limit only after the one that is told of", () => {
    expect(heapOf(64)).toBe(linux ? 144 : 64)
  })
})
