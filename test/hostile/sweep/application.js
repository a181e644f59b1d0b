/** Runs the plugin beside it, anew behind each function whose calls ended it, and says which is called. Ends by itself when all were. */
import { writeSync } from 'node:fs'
import { createKernel } from 'plugbay'

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const limits = { hang: 3_000, loadTimeout: 30_000, startTimeout: 30_000 }
const kernel = await createKernel({
  base: import.meta.dirname,
  plugins: [],
  dataDir: process.argv[2],
  audit: false,
  logger: silent,
  defaults: { limits, restart: { policy: 'temporary' } },
  config: { plugin: { from: 0 } },
})
let number = -1
const say = (...words) => writeSync(1, `${words.join(' ')}\n`)
await kernel.services.provide('sweep', {
  begin: (count) => say('of', count),
  at(next, path) {
    number = next
    say(number, path)
  },
  done() {
    say('done')
    process.exit()
  },
})
const goOn = async () => {
  await kernel.updateConfig('plugin', { from: number + 1 })
  await kernel.enable('plugin')
}
kernel.on('plugin:fault', ({ error }) => {
  if (kernel.plugins()[0]?.state !== 'failed') return
  say('ended', error.message)
  void goOn()
})
await kernel.start()
await kernel.load('./plugin.js')
