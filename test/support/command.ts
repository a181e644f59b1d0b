/** Runs the built command as a real process, and makes folders for it to run in. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const bin = join(root, 'dist/cli/plugbay.js')

export interface Outcome {
  code: number
  stdout: string
  stderr: string
}

/** Runs `node <args>` to its end. */
export const node = (args: string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Outcome> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      { cwd, env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined, ...env } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })

/** Runs `plugbay <args>` to its end. */
export const plugbay = (args: string[], cwd: string, env?: NodeJS.ProcessEnv): Promise<Outcome> => node([bin, ...args], cwd, env)

/** A folder with these files, removed after the test. Objects are written as JSON. */
export const folderWith = (files: Record<string, string | object> = {}): string => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'plugbay-cli-')))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return folder
}

/** A folder `plugins` with these manifests and empty modules. */
export const pluginsWith = (manifests: Record<string, object>): Record<string, string | object> =>
  Object.fromEntries(
    Object.entries(manifests).flatMap(([name, manifest]) => [
      [`plugins/${name}/plugin.json`, { name, version: '1.0.0', ...manifest }],
      [`plugins/${name}/index.js`, 'export default {}'],
    ]),
  )
