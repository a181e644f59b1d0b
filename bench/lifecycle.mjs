/** Starting, booting and replacing plugins against bare workers. */
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { createKernel } from '../dist/index.js'

const BARE = new URL('workers/bare.mjs', import.meta.url)
const LIGHT = fileURLToPath(new URL('plugins/light', import.meta.url))

const once = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve))
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}
const folder = () => {
  const base = mkdtempSync(join(tmpdir(), 'plugbay-bench-'))
  writeFileSync(join(base, 'package.json'), '{ "type": "module" }')
  mkdirSync(join(base, 'plugins'))
  return base
}

const bareStart = {
  name: 'bare-worker',
  measure: async () => {
    const began = performance.now()
    const worker = new Worker(BARE)
    await once(worker, 'message')
    const ms = performance.now() - began
    await worker.terminate()
    return ms
  },
}

/** A waiting thread counts from its making; it gets the time to boot that it has in life, and is not to disturb the next contender. */
const standbyBooted = async (kernel, count) => {
  await until(() => kernel.metrics().standby === count)
  if (count > 0) await new Promise((resolve) => setTimeout(resolve, 100))
}

const pluginStart = (name, standby) => ({
  name,
  setUp: async () => {
    const base = folder()
    cpSync(LIGHT, join(base, 'plugins/light'), { recursive: true })
    const kernel = await createKernel({ base, plugins: 'plugins', logLevel: 'warn', standby })
    await kernel.start()
    await kernel.unload('light')
    await standbyBooted(kernel, standby)
    return { base, kernel }
  },
  measure: async ({ kernel }) => {
    const began = performance.now()
    await kernel.load('plugins/light')
    const ms = performance.now() - began
    await kernel.unload('light')
    await standbyBooted(kernel, standby)
    return ms
  },
  tearDown: async ({ base, kernel }) => {
    await kernel.stop()
    rmSync(base, { recursive: true, force: true })
  },
})

const MANY = 50
const rss = () => {
  globalThis.gc?.()
  return process.memoryUsage().rss
}

const bareMany = (cost) => ({
  name: 'bare-workers',
  measure: async () => {
    const before = rss()
    const began = performance.now()
    const workers = []
    const lane = async () => {
      while (workers.length < MANY) {
        const worker = new Worker(BARE)
        workers.push(worker)
        await once(worker, 'message')
      }
    }
    await Promise.all([lane(), lane()])
    const ms = performance.now() - began
    const mb = (rss() - before) / 2 ** 20
    await Promise.all(workers.map((worker) => worker.terminate()))
    return cost === 'ms' ? ms : mb
  },
})

const pluginMany = (cost) => ({
  name: 'plugbay',
  setUp: () => {
    const base = folder()
    for (let i = 0; i < MANY; i++) cpSync(LIGHT, join(base, 'plugins', `light-${i}`), { recursive: true })
    return base
  },
  measure: async (base) => {
    const before = rss()
    const began = performance.now()
    const kernel = await createKernel({ base, plugins: 'plugins', logLevel: 'warn' })
    await kernel.start()
    const ms = performance.now() - began
    const mb = (rss() - before) / 2 ** 20
    await kernel.stop()
    return cost === 'ms' ? ms : mb
  },
  tearDown: (base) => rmSync(base, { recursive: true, force: true }),
})

/** Saves a version atomically, as editors do. */
const save = (base, file, text) => {
  writeFileSync(join(base, 'saved'), text)
  renameSync(join(base, 'saved'), file)
}

const hotReload = {
  name: 'plugbay',
  setUp: async () => {
    const base = folder()
    const file = join(base, 'plugins/answer/index.js')
    mkdirSync(join(base, 'plugins/answer'))
    const code = (n) => `export default { start: (ctx) => ctx.bus.publish('answer', ${n}) }\n`
    writeFileSync(file, code(0))
    const kernel = await createKernel({ base, plugins: 'plugins', watch: true, logLevel: 'warn' })
    await kernel.start()
    return { base, kernel, file, code, n: 0 }
  },
  measure: async (state) => {
    await new Promise((resolve) => setTimeout(resolve, 400))
    const n = ++state.n
    const answered = new Promise((resolve) => {
      const subscription = state.kernel.bus.subscribe('answer', ({ data }) => {
        if (data !== n) return
        subscription.unsubscribe()
        resolve()
      })
    })
    const began = performance.now()
    save(state.base, state.file, state.code(n))
    await answered
    return performance.now() - began
  },
  tearDown: async ({ base, kernel }) => {
    await kernel.stop()
    rmSync(base, { recursive: true, force: true })
  },
}

const watchAndRestart = {
  name: 'fs.watch-and-worker',
  setUp: () => {
    const base = folder()
    const file = join(base, 'plugins/answer.js')
    const code = (n) =>
      `import { parentPort } from 'node:worker_threads'\nparentPort.postMessage(${n})\nparentPort.on('message', () => {})\n`
    writeFileSync(file, code(0))
    const state = { base, file, code, n: 0, worker: new Worker(file), answered: undefined }
    state.watcher = watch(join(base, 'plugins'), () => {
      const old = state.worker
      const worker = new Worker(file)
      state.worker = worker
      worker.on('message', (n) => {
        if (n === state.n) state.answered?.()
        void old.terminate()
      })
    })
    return state
  },
  measure: async (state) => {
    await new Promise((resolve) => setTimeout(resolve, 400))
    const n = ++state.n
    const answered = new Promise((resolve) => {
      state.answered = resolve
    })
    const began = performance.now()
    save(state.base, state.file, state.code(n))
    await answered
    return performance.now() - began
  },
  tearDown: async ({ base, watcher, worker }) => {
    watcher.close()
    await worker.terminate()
    rmSync(base, { recursive: true, force: true })
  },
}

export const groups = [
  {
    title: 'a light plugin, started until it runs',
    rounds: 31,
    baseline: 'bare-worker',
    contenders: [pluginStart('standby', 1), pluginStart('no-standby', 0), bareStart],
    targets: [
      { ratio: 'standby/bare-worker', atMost: 0.2, of: 'cost' },
      { ratio: 'no-standby/bare-worker', atMost: 1.25, of: 'cost' },
    ],
  },
  {
    title: `${MANY} light plugins booted`,
    baseline: 'bare-workers',
    rounds: 15,
    contenders: [pluginMany('ms'), bareMany('ms')],
    targets: [{ ratio: 'plugbay/bare-workers', atMost: 1.2, of: 'cost' }],
  },
  {
    title: `memory of ${MANY} light plugins`,
    cost: 'MB',
    baseline: 'bare-workers',
    rounds: 7,
    contenders: [pluginMany('MB'), bareMany('MB')],
    targets: [{ ratio: 'plugbay/bare-workers', atMost: 1.15, of: 'cost' }],
  },
  {
    title: 'saved, until the new version answers',
    baseline: 'fs.watch-and-worker',
    contenders: [hotReload, watchAndRestart],
    targets: [{ ratio: 'plugbay/fs.watch-and-worker', atMost: 0.4, of: 'cost' }],
  },
]
