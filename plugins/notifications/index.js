/** Sends every welcome to the user it is for, by way of an outbox: a file with one message a line. */
import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { definePlugin } from 'plugbay/plugin'

export default definePlugin({
  async start(ctx) {
    const file = join(ctx.dataDir, 'outbox.jsonl')
    const users = await ctx.services.use('users', { range: '^1.0.0' })

    const send = async (id, userId, text) => {
      const user = await users.findById(userId)
      if (user === null) {
        await ctx.bus.publish('notification.failed', { id, userId, reason: `There is no user ${userId}.` })
        return
      }
      const notification = { id, userId, to: user.email, text, at: new Date().toISOString() }
      await appendFile(file, `${JSON.stringify(notification)}\n`)
      await ctx.bus.publish('notification.sent', { id, userId, to: user.email })
    }

    // The event's id is the notification's: whoever reads the outbox can tell where a message came from.
    ctx.bus.subscribe('user.welcome', ({ id, data }) => send(id, data.userId, data.message))

    const outbox = async () => {
      const text = await readFile(file, 'utf8').catch((error) => {
        if (error.code === 'ENOENT') return ''
        throw error
      })
      // A crash may cut the last line off.
      const whole = text.slice(0, text.lastIndexOf('\n') + 1)
      return whole
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    }
    await ctx.services.provide('notifications', { outbox }, { version: ctx.version })
  },
})
