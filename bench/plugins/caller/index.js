/** Calls the greeter as fast as it can, so many calls under way at a time. */
export default {
  async start(ctx) {
    const greeter = await ctx.services.use('greeter')
    await ctx.services.provide('caller', {
      call: async (calls, inFlight) => {
        let made = 0
        const one = async () => {
          while (made < calls) {
            made++
            await greeter.greet('bob')
          }
        }
        const began = performance.now()
        await Promise.all(Array.from({ length: inFlight }, one))
        return performance.now() - began
      },
    })
  },
}
