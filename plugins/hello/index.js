/** Welcomes every user who logs in: the smallest plugin that does something. */
import { definePlugin } from 'plugbay/plugin'

export default definePlugin({
  start(ctx) {
    ctx.bus.subscribe('user.login', async (event) => {
      const { userId } = event.data
      const message = ctx.config.message.replaceAll('{userId}', userId)
      await ctx.bus.publish('user.welcome', { userId, message })
    })
  },

  // The handler reads ctx.config at every event, so a new configuration needs nothing but this.
  updateConfig() {},
})
