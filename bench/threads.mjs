/** Events between threads against bare ports: one hop, through the kernel, and to ten threads. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { MessageChannel, Worker } from 'node:worker_threads'
import { createKernel } from '../dist/index.js'
import { portChannel } from '../dist/sandbox/channel.js'
import { Conversation } from '../dist/sandbox/rpc.js'

const RECEIVER = new URL('workers/receiver.mjs', import.meta.url)
const RELAY = new URL('workers/relay.mjs', import.meta.url)
const TIME = '2026-01-01T00:00:00.000Z'

const receiver = (mode) => {
  const { port1, port2 } = new MessageChannel()
  const worker = new Worker(RECEIVER, { workerData: { port: port2, mode }, transferList: [port2] })
  return { worker, port: port1 }
}

const once = (port) => new Promise((resolve) => port.once('message', resolve))
const counted = (port) => {
  port.postMessage('count')
  return once(port)
}

const kilobyte = 'x'.repeat(1_000)
const large = 'x'.repeat(65_000)
const DATA = {
  small: (i) => ({ userId: `u${i}`, n: i }),
  '1 KB': (i) => ({ userId: `u${i}`, text: kilobyte }),
  '64 KB': (i) => ({ userId: `u${i}`, text: large }),
}

/**
 * One hop: events sent in bursts, one burst a turn, until the far end has counted them all. At most `ahead` are under way, as windows see
 * to in a kernel: what piles up in memory beyond the processor's cache costs several times the rest, and hits whoever is faster at sending.
 */
const raw = (burst, data, ahead) => ({
  name: 'raw',
  setUp: () => receiver('raw'),
  run: async ({ port }, iterations) => {
    for (let sent = 0; sent < iterations; ) {
      for (let i = 0; i < burst && sent < iterations; i++, sent++) {
        port.postMessage({ id: `bench-${sent.toString(36)}`, type: 'bench.event', source: 'bench', time: TIME, data: data(sent) })
      }
      if (sent % ahead === 0) await counted(port)
      await turn()
    }
    await counted(port)
  },
  tearDown: ({ worker }) => worker.terminate(),
})

const conversing = (burst, data, ahead) => ({
  name: 'plugbay',
  setUp: () => {
    const { worker, port } = receiver('conversation')
    return { worker, conversation: new Conversation(portChannel(port), { request: () => undefined }, 'the receiver') }
  },
  run: async ({ conversation }, iterations) => {
    for (let sent = 0; sent < iterations; ) {
      for (let i = 0; i < burst && sent < iterations; i++, sent++) {
        conversation.notify('event', [1, `bench-${sent.toString(36)}`, 'bench.event', 'bench', TIME], data(sent))
      }
      if (sent % ahead === 0) await conversation.request('count')
      await turn()
    }
    await conversation.request('count')
  },
  tearDown: ({ worker }) => worker.terminate(),
})

const hop = (size, burst, atLeast, ahead = Infinity) => ({
  title: `one hop, ${size}, ${burst} a turn`,
  unit: 'event',
  baseline: 'raw',
  roundMs: 40,
  contenders: [conversing(burst, DATA[size], ahead), raw(burst, DATA[size], ahead)],
  targets: [{ ratio: 'plugbay/raw', atLeast }],
})

/** A kernel with the bench's plugins; `copies` counters. */
const kernelWith = async (copies) => {
  const base = mkdtempSync(join(tmpdir(), 'plugbay-bench-'))
  const from = fileURLToPath(new URL('plugins', import.meta.url))
  cpSync(join(from, 'publisher'), join(base, 'plugins/publisher'), { recursive: true })
  const config = {}
  for (let i = 0; i < copies; i++) {
    cpSync(join(from, 'counter'), join(base, `plugins/counter-${i}`), { recursive: true })
    writeFileSync(join(base, `plugins/counter-${i}/package.json`), '{ "type": "module" }')
    config[`counter-${i}`] = { service: `counter-${i}` }
  }
  writeFileSync(join(base, 'plugins/publisher/package.json'), '{ "type": "module" }')
  const kernel = await createKernel({ base, plugins: 'plugins', config, logLevel: 'warn', standby: 0 })
  await kernel.start()
  const patient = { timeout: 0 }
  const counters = await Promise.all(Array.from({ length: copies }, (_, i) => kernel.services.use(`counter-${i}`, patient)))
  const publisher = await kernel.services.use('publisher', patient)
  return {
    kernel,
    counters,
    publisher,
    close: async () => {
      await kernel.stop()
      rmSync(base, { recursive: true, force: true })
    },
  }
}

const throughKernel = (burst) => ({
  title: `plugin → kernel → plugin, small, ${burst} a turn`,
  unit: 'event',
  baseline: 'raw',
  roundMs: 60,
  contenders: [
    {
      name: 'plugbay',
      setUp: () => kernelWith(1),
      run: async ({ counters: [counter], publisher }, iterations) => {
        const done = counter.expect(iterations)
        await publisher.publish(iterations, burst)
        await done
      },
      tearDown: (state) => state.close(),
    },
    {
      name: 'raw',
      setUp: () => {
        const publisher = new Worker(RELAY, { workerData: 'publisher' })
        const counter = new Worker(RELAY, { workerData: 'counter' })
        publisher.on('message', (event) => counter.postMessage(event))
        return { publisher, counter }
      },
      run: async ({ publisher, counter }, iterations) => {
        counter.postMessage({ expect: iterations })
        publisher.postMessage({ total: iterations, burst })
        await once(counter)
      },
      tearDown: ({ publisher, counter }) => Promise.all([publisher.terminate(), counter.terminate()]),
    },
  ],
  targets: [{ ratio: 'plugbay/raw', atLeast: 3 }],
})

const RECEIVERS = 10

const fanOut = (burst) => ({
  title: `one event to ${RECEIVERS} threads, small, ${burst} a turn`,
  unit: 'event',
  baseline: 'raw',
  roundMs: 60,
  contenders: [
    {
      name: 'plugbay',
      setUp: () => kernelWith(RECEIVERS),
      run: async ({ kernel, counters }, iterations) => {
        const done = Promise.all(counters.map((counter) => counter.expect(iterations)))
        for (let sent = 0; sent < iterations; ) {
          let last
          for (let i = 0; i < burst && sent < iterations; i++, sent++)
            last = kernel.bus.publish('bench.event', { userId: `u${sent}`, n: sent })
          await last
          await turn()
        }
        await done
      },
      tearDown: (state) => state.close(),
    },
    {
      name: 'raw',
      setUp: () => Array.from({ length: RECEIVERS }, () => receiver('raw')),
      run: async (receivers, iterations) => {
        for (let sent = 0; sent < iterations; ) {
          for (let i = 0; i < burst && sent < iterations; i++, sent++) {
            const event = { id: `bench-${sent.toString(36)}`, type: 'bench.event', source: 'bench', time: TIME, data: DATA.small(sent) }
            for (const { port } of receivers) port.postMessage(event)
          }
          await turn()
        }
        await Promise.all(
          receivers.map(({ port }) => {
            port.postMessage('count')
            return once(port)
          }),
        )
      },
      tearDown: (receivers) => Promise.all(receivers.map(({ worker }) => worker.terminate())),
    },
  ],
  targets: [{ ratio: 'plugbay/raw', atLeast: 8 }],
})

export const groups = [
  hop('small', 1, 0.85),
  hop('small', 16, 3),
  hop('small', 64, 4),
  hop('small', 256, 4),
  hop('1 KB', 64, 2.5),
  hop('64 KB', 16, 0.9),
  throughKernel(64),
  throughKernel(256),
  fanOut(64),
]
