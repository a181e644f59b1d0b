import { readlinkSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { faultsTell, type ProcessPages, type ProcessTaken, processPages, TakenPages } from '#src/sandbox/watch/taken-pages.js'

const told = processPages() !== undefined && faultsTell()
const own = (): number => Number(readlinkSync('/proc/thread-self').split('/').at(-1))

describe.runIf(told)('the memory that a thread has taken', () => {
  /** What is looked at here, nobody says to have. */
  const now = (accounted = 0): ProcessTaken => ({ ...(processPages() as ProcessPages), accounted })

  test('is what it has touched, and not what it has only asked for', () => {
    const tid = own()
    const taken = new TakenPages(now(), tid)
    const bytes = new Uint8Array(new SharedArrayBuffer(2e8))
    taken.count(now(), tid, 0)
    expect(taken.held).toBeLessThan(50)
    bytes.fill(1)
    taken.count(now(), tid, 0)
    expect(taken.held).toBeGreaterThan(150)
    expect(taken.held).toBeLessThan(250)
  })

  test('is not what others say to have, also when they let go of it', () => {
    const tid = own()
    const taken = new TakenPages(now(), tid)
    const bytes = new Uint8Array(new SharedArrayBuffer(2e8)).fill(1)
    taken.count(now(190), tid, 0)
    expect(taken.held).toBeLessThan(100)
    taken.count(now(), tid, 0)
    expect(taken.held).toBeLessThan(100)
    expect(bytes[0]).toBe(1)
  })

  test('is not what another thread has', async () => {
    const taken = new TakenPages(now(), own())
    const worker = new Worker(
      "globalThis.kept = Buffer.alloc(2e8, 1); require('node:worker_threads').parentPort.postMessage('filled'); setInterval(() => {}, 1e6)",
      { eval: true },
    )
    onTestFinished(async () => void (await worker.terminate()))
    await new Promise((resolve) => worker.once('message', resolve))
    taken.count(now(), own(), 0)
    expect(taken.held).toBeLessThan(100)
  })

  test('is nothing that is known of a thread that is not there', () => {
    const taken = new TakenPages(now(), 0)
    taken.count(now(), 0, 0)
    taken.count(now(), 2 ** 30, 0)
    expect(taken.held).toBe(0)
  })
})
