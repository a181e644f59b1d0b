/**
 * What the watchdog takes of a thread that it asked to collect its garbage. The thread's end is here: it answers as a guest, or as who has
 * got hold of its wire.
 */
import { EventEmitter } from 'node:events'
import { MessageChannel, receiveMessageOnPort, type Worker } from 'node:worker_threads'
import { expect, onTestFinished, test, vi } from 'vitest'
import { toldHeap } from '#src/sandbox/guest/own-memory.js'
import { CELL, newCells } from '#src/sandbox/pulse.js'
import { WatchedThread } from '#src/sandbox/watch/watched-thread.js'

/** A thread that had too much before it collected, and says so many times what is left then. */
const collected = (tells: number) => {
  const { port1: asks, port2: asked } = new MessageChannel()
  onTestFinished(() => asks.close())
  const failed = vi.fn()
  const worker = new EventEmitter().on('error', failed)
  const performance = { eventLoopUtilization: () => ({ idle: 0, active: 0, utilization: 0 }) }
  const terminate = vi.fn(() => Promise.resolve(0))
  Object.assign(worker, { performance, terminate })
  const cells = newCells()
  const breached = vi.fn()
  const subject = { worker: worker as unknown as Worker, cells, asks }
  const thread = new WatchedThread(subject, { memory: 64, cpu: 1, hang: 1_000 }, breached, 0)
  const look = (at: number): void => thread.look(at, () => undefined, undefined, false)
  const holds = (counted: number, mb: number): void => {
    Atomics.add(cells, counted, 1)
    cells[CELL.used] = mb * 1_024
  }
  cells[CELL.beats] = 1
  holds(CELL.samples, 70)
  look(25)
  expect(receiveMessageOnPort(asked)).toEqual({ message: 'collect' })
  for (let told = 0; told < tells; told++) asked.postMessage(toldHeap())
  holds(CELL.collections, 10)
  look(50)
  let unread = 0
  while (receiveMessageOnPort(asks)) unread++
  return { failed, terminate, breached, unread }
}

test('a thread that says once what is left goes on', () => {
  const { failed, terminate, breached, unread } = collected(1)
  expect([failed, terminate, breached].map(({ mock }) => mock.calls)).toEqual([[], [], []])
  expect(unread).toBe(0)
})

test('one that says so again and again is ended, and not heard to the end', () => {
  const { failed, terminate, breached, unread } = collected(100)
  expect(failed).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'PROTOCOL' }))
  expect(terminate).toHaveBeenCalledOnce()
  expect(breached).not.toHaveBeenCalled()
  expect(unread).toBe(98)
})
