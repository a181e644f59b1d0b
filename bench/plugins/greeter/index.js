/** Provides the service that is called. */
export default {
  async start(ctx) {
    await ctx.services.provide('greeter', { greet: (name) => `hello ${name}` })
  },
}
