/** Writes the events of chosen topics to a log file that is rotated. */
import { join } from 'node:path'
import { definePlugin } from 'plugbay/plugin'
import { RotatingFile } from './rotating-file.js'

const LEVELS = ['debug', 'info', 'error']

/** What is told by a topic's name alone: what went wrong, what the kernel says of itself, and the rest. */
const levelOf = (topic) => {
  if (/(^|\.)(failed|fault|error)$/.test(topic)) return 'error'
  return topic.startsWith('kernel.') ? 'debug' : 'info'
}

/** @type {RotatingFile} */
let file

export default definePlugin({
  initialize(ctx, config) {
    file = new RotatingFile(join(ctx.dataDir, config.file), config)
  },

  start(ctx) {
    const least = LEVELS.indexOf(ctx.config.level)
    const filter = ({ type }) => LEVELS.indexOf(levelOf(type)) >= least
    // An event that several patterns match comes once for each, and is written once.
    const recent = new Set()
    const write = async ({ id, type, source, time, data }) => {
      if (recent.has(id)) return
      recent.add(id)
      if (recent.size > 4096) recent.delete(recent.values().next().value)
      await file.write(JSON.stringify({ time, level: levelOf(type), topic: type, source, data }, safely))
    }
    for (const pattern of ctx.config.patterns) ctx.bus.subscribe(pattern, write, { filter, concurrency: 256 })
  },

  async stop() {
    await file.close()
  },
})

const safely = (_key, value) => {
  if (typeof value === 'bigint') return String(value)
  return ArrayBuffer.isView(value) ? `${value.byteLength} bytes` : value
}
