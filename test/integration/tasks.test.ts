import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'

const code = pluginCode({
  start: `await ctx.services.provide('runner', {
    names: () => ctx.tasks.names,
    run: (task, input, options) => ctx.tasks.run(task, input, options).catch(({ code, message, cause }) => ({ code, message, cause: cause?.message })),
    all: (task, inputs) => Promise.all(inputs.map((input) => ctx.tasks.run(task, input))),
  })`,
})

const manifest = {
  tasks: {
    double: 'double.ts',
    alone: { file: 'alone.js', concurrency: 1 },
    fails: 'fails.js',
    never: 'never.js',
  },
}

const files = {
  'double.ts': 'export default (n: number): number => n * 2',
  // Says how many of it run at the same moment, in whatever threads they do.
  'alone.js': `import { readdirSync, rmSync, writeFileSync } from 'node:fs'
    export default async ({ folder, name }) => {
      writeFileSync(folder + '/' + name, '')
      await new Promise((resolve) => setTimeout(resolve, 20))
      const running = readdirSync(folder).filter((file) => file.startsWith('run-')).length
      rmSync(folder + '/' + name)
      return running
    }`,
  'fails.js': "export default () => { throw new RangeError('too far') }",
  'never.js': 'export default () => { for (;;); }',
}

const runner = async () => {
  const { kernel, folder } = await startedWith({})
  // One of its tasks counts files.
  const permissions = [{ resource: `fs:${folder}`, actions: ['read', 'write'] }]
  const path = writePlugin(folder, 'worker', { code, manifest: { ...manifest, permissions } })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text)
  await kernel.load(path)
  return { kernel, folder, service: await kernel.services.use('runner', { timeout: 0 }) }
}

it('a declared task runs on a thread of its own, also in TypeScript', async () => {
  const { service } = await runner()
  expect(await service.names?.()).toEqual(Object.keys(manifest.tasks))
  expect(await service.all?.('double', [1, 2, 3])).toEqual([2, 4, 6])
})

it('a task with a concurrency never runs more often at once, however many are asked for', async () => {
  const { service, folder } = await runner()
  const inputs = Array.from({ length: 5 }, (_, n) => ({ folder, name: `run-${n}` }))
  expect(await service.all?.('alone', inputs)).toEqual([1, 1, 1, 1, 1])
})

it('a task that is not declared, or throws, or takes too long, is told as what it is', async () => {
  const { service } = await runner()
  expect(await service.run?.('dubble', 1)).toMatchObject({
    code: 'TASK_UNKNOWN',
    message: expect.stringContaining("Did you mean 'double'?"),
  })
  expect(await service.run?.('fails', 1)).toMatchObject({
    code: 'TASK_FAILED',
    cause: 'too far',
    message: expect.stringContaining("'worker'"),
  })
  expect(await service.run?.('never', 1, { timeout: 50 })).toMatchObject({ code: 'CALL_TIMEOUT' })
  expect(await service.all?.('double', [4])).toEqual([8])
})

it('a task under way ends with its plugin, and leaves nothing', async () => {
  const { kernel, service } = await runner()
  const under = service.run?.('never', 1)
  await service.all?.('double', [1])
  const outcome = expect(under).rejects.toMatchObject({ code: 'SERVICE_GONE' })
  expect(await kernel.unload('worker')).toMatchObject({ name: 'worker' })
  await outcome
})
