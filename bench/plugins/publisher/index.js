/** Publishes bursts of small events when told to. */
export default {
  async start(ctx) {
    await ctx.services.provide('publisher', {
      publish: (total, burst) => {
        let sent = 0
        const tick = async () => {
          let last
          for (let i = 0; i < burst && sent < total; i++, sent++) last = ctx.bus.publish('bench.event', { userId: `u${sent}`, n: sent })
          await last
          if (sent < total) setImmediate(tick)
        }
        tick()
      },
    })
  },
}
