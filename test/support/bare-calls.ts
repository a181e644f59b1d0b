/** Calls between two bare workers of a process of its own: how long the machine itself has a call wait while a test runs. */
import { fork } from 'node:child_process'
import { once } from 'node:events'

const ANSWERER =
  "require('node:worker_threads').workerData.on('message', (call) => require('node:worker_threads').workerData.postMessage(call))"

/** One call after the other, with a pause between, as an observer makes them. */
const CALLER = `
  const { parentPort, workerData } = require('node:worker_threads')
  let times = []
  let began
  const call = () => { began = performance.now(); workerData.postMessage(1) }
  workerData.on('message', () => { times.push(performance.now() - began); setTimeout(call, 2) })
  parentPort.on('message', () => { parentPort.postMessage(times); times = [] })
  call()`

const PROCESS = `
  const { Worker, MessageChannel } = require('node:worker_threads')
  const { port1, port2 } = new MessageChannel()
  new Worker(${JSON.stringify(ANSWERER)}, { eval: true, workerData: port1, transferList: [port1] })
  const caller = new Worker(${JSON.stringify(CALLER)}, { eval: true, workerData: port2, transferList: [port2] })
  process.on('message', () => caller.postMessage(1))
  process.on('disconnect', () => process.exit())
  caller.on('message', (times) => process.send(times))`

export interface BareCalls {
  /** The milliseconds that each call took since the last time this was asked. */
  times(): Promise<number[]>
  end(): void
}

export const bareCalls = (): BareCalls => {
  const child = fork('-e', [PROCESS], { execArgv: [] })
  return {
    times: async () => {
      child.send('times')
      const [times] = (await once(child, 'message')) as [number[]]
      return times
    },
    end: () => child.disconnect(),
  }
}

/** The 99th percentile: of 100 values, all but one are no more. */
export const p99 = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? 0
