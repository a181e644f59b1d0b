/** Counts events, and answers when it has seen as many as were asked for. */
export default {
  async start(ctx) {
    let count = 0
    let expected = 0
    let done
    const check = () => {
      if (count < expected || !done) return
      count = 0
      done()
      done = undefined
    }
    ctx.bus.subscribe('bench.event', (event) => {
      if (event.data.userId !== undefined) count++
      if (count === expected) check()
    })
    await ctx.services.provide(ctx.config.service ?? 'counter', {
      expect: (total) =>
        new Promise((resolve) => {
          expected = total
          done = resolve
          check()
        }),
    })
  },
}
