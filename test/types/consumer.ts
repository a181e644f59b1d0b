/** A program that uses all public entries in plain TypeScript: what an old compiler has to understand (`npm run test:typescript`). */
import { createKernel, type Kernel, PlugbayError } from 'plugbay'
import { definePlugin } from 'plugbay/plugin'
import { createTestKernel, fakeClock } from 'plugbay/testing'

export const plugin = definePlugin<{ greeting: string }>({
  async start(ctx) {
    ctx.bus.subscribe('consumer.asked', (event) => ctx.log.info(event.type))
    await ctx.services.provide('consumer', { greet: (name: string) => `${ctx.config.greeting} ${name}` })
    for await (const event of ctx.bus.subscribe('consumer.*')) ctx.log.info(event.id)
  },
})

export const run = async (): Promise<void> => {
  const kernel: Kernel = await createKernel({ plugins: './plugins', config: { consumer: { greeting: 'hello' } } })
  kernel.on('plugin:fault', ({ name, error }) => console.log(name, error.code))
  await kernel.start()
  const consumer = await kernel.services.use('consumer')
  console.log(await consumer['greet']?.('Ada'))
  for await (const event of kernel.bus.subscribe('consumer.*')) console.log(event.type)
  await kernel.stop()
}

export const test = async (): Promise<void> => {
  const kernel = await createTestKernel({ plugins: ['./plugins/consumer'] })
  await kernel.expectEvent('consumer.asked').catch((error: unknown) => error instanceof PlugbayError && error.code)
  await kernel.stop()
  fakeClock()
}
