/** Runs the built command as a real process, and makes folders for it to run in. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, vi } from 'vitest'

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

/** The command while it runs. */
export interface RunningCommand {
  child: ChildProcess
  /** All it wrote so far, to either stream. */
  output(): string
  /** Resolves when the output fits. */
  says(what: string | RegExp): Promise<void>
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** Starts `plugbay <args>`; what still runs when the test ends is killed. */
export const run = (args: string[], cwd: string): RunningCommand => {
  const child = spawn(process.execPath, [bin, ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  child.stderr.on('data', (chunk) => (text += String(chunk)))
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }))
  })
  const says = (what: string | RegExp) =>
    vi.waitFor(() => (typeof what === 'string' ? expect(text).toContain(what) : expect(text).toMatch(what)), {
      timeout: 15_000,
      interval: 20,
    })
  return { child, output: () => text, says, ended }
}

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
