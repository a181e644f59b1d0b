/** A plugin whose service runs its tasks, in a kernel of its own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { KernelOptions } from 'plugbay'
import { pluginCode, type Running, startedWith, writePlugin } from './plugin-folder.js'

/** How a run ended, as its plugin got it. */
export interface Ran {
  value?: unknown
  code?: string
  message?: string
  cause?: { name?: string; code?: string; message?: string; plugin?: string; details?: Record<string, unknown> }
}

export interface RunningTasks extends Running {
  /** Has the plugin 'worker' run one. */
  run(task: string, input?: unknown, options?: { timeout: number }): Promise<Ran>
  /** Has it run one with each input, all at once. */
  all(task: string, inputs: unknown[]): Promise<unknown[]>
  path: string
}

const CODE = pluginCode({
  start: `await ctx.services.provide('runner', {
    names: () => ctx.tasks.names,
    run: (task, input, options) => ctx.tasks.run(task, input, options).then(
      (value) => ({ value }),
      ({ code, message, cause }) => ({ code, message, cause: cause && { name: cause.name, code: cause.code, message: cause.message, plugin: cause.plugin, details: cause.details } })),
    all: (task, inputs) => Promise.all(inputs.map((input) => ctx.tasks.run(task, input))),
  })`,
})

/**
 * `files`: the modules of the tasks, and what they import, by name; every one at the top is a task, named as its file without the ending.
 */
export const startedTasks = async (
  files: Record<string, string>,
  manifest: Record<string, unknown> | ((folder: string) => Record<string, unknown>) = {},
  options: KernelOptions = {},
): Promise<RunningTasks> => {
  const running = await startedWith({}, options)
  const { kernel, folder } = running
  const tasks = Object.fromEntries(Object.keys(files).flatMap((file) => (file.includes('/') ? [] : [[file.replace(/\..*/, ''), file]])))
  const given = typeof manifest === 'function' ? manifest(folder) : manifest
  const path = writePlugin(folder, 'worker', {
    code: CODE,
    manifest: { ...given, tasks: { ...tasks, ...(given['tasks'] as object | undefined) } },
  })
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true })
    writeFileSync(join(path, file), text)
  }
  await kernel.load(path)
  const service = (await kernel.services.use('runner', { timeout: 0 })) as unknown as Pick<RunningTasks, 'run' | 'all'>
  return { ...running, run: service.run, all: service.all, path }
}
