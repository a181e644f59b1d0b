/** Keeps every event there is in a file that only grows. */
import { join } from 'node:path'
import { definePlugin } from 'plugbay/plugin'
import { AppendOnlyFile } from './append-only-file.js'

/** JSON has no word for these; a trail must not break over what somebody publishes. */
const plain = (_key, value) => {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Map) return { map: [...value] }
  if (value instanceof Set) return { set: [...value] }
  if (ArrayBuffer.isView(value)) return { bytes: value.byteLength }
  return value
}

const lineOf = (event) => {
  try {
    return JSON.stringify(event, plain)
  } catch (error) {
    return JSON.stringify({ ...event, data: { unreadable: error.message } })
  }
}

export default definePlugin({
  async start(ctx) {
    const file = new AppendOnlyFile(join(ctx.dataDir, ctx.config.file))
    // Handlers are called in order, and what comes while one write is under way goes to disk with the next. An event counts as handled
    // when it is there: a stop waits for it.
    ctx.bus.subscribe('**', (event) => file.append(lineOf(event)), { concurrency: 256 })

    const tail = async (count = 20) => (await file.tail(count)).map((line) => JSON.parse(line))
    await ctx.services.provide('audit', { tail }, { version: ctx.version })
  },
})
