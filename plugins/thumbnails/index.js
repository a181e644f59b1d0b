/** Makes small pictures of large ones: the work is a task, so it runs on a pool of threads while this one stays free to answer. */
import { definePlugin, transfer } from 'plugbay/plugin'

export default definePlugin({
  async start(ctx) {
    const make = async (bytes, { width }) => {
      const thumbnail = await ctx.tasks.run('shrink', { bytes, width })
      // Moved to the caller rather than copied: nobody needs it here any more.
      return transfer(thumbnail, [thumbnail.buffer])
    }
    await ctx.services.provide('thumbnails', { make }, { version: ctx.version })
  },
})
