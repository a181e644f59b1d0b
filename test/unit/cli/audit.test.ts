/** `plugbay audit` as a process, over logs that `plugbay start` wrote as a process. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { bin, folderWith, plugbay, pluginsWith } from '../../support/command.js'
import { eventually } from '../../support/eventually.js'

const one = { ...pluginsWith({ one: {} }), 'plugins/one/index.js': 'export default { start() {} }' }

/** Starts the plugins in a folder and stops them when they run. */
const startAndStop = async (folder: string, command = 'start', signal: NodeJS.Signals = 'SIGTERM'): Promise<string> => {
  const child = spawn(process.execPath, [bin, command], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  const ended = new Promise((resolve) => child.on('close', resolve))
  await vi.waitFor(() => expect(text).toMatch(/plugin.* running/), { timeout: 15_000, interval: 20 })
  child.kill(signal)
  await ended
  return text
}

const logOf = (folder: string): string => join(folder, 'data/.audit')
const fileIn = (dir: string): string => join(dir, readdirSync(dir).find((name) => name.endsWith('.jsonl')) ?? '')

describe('plugbay start', () => {
  test('keeps a log of what the operator did and what came of it, which can be shown and verified', async () => {
    const folder = folderWith(one)
    await startAndStop(folder)
    await startAndStop(folder)
    const shown = await plugbay(['audit', '--last', '100'], folder)
    expect(shown.code).toBe(0)
    expect(shown.stdout).toMatch(/^\S+Z action +by operator action=start\n/)
    expect(shown.stdout).toMatch(/plugin\.state +one#1 by kernel from=starting to=running: start\n/)
    expect(shown.stdout).toMatch(/action +by operator action=stop: SIGTERM\n/)
    expect(shown.stdout.match(/action=start/g)).toHaveLength(2)
    const verified = await plugbay(['audit', 'verify'], folder)
    expect(verified).toMatchObject({ code: 0, stderr: '' })
    expect(verified.stdout).toMatch(/^✓ \d+ lines in 1 file; nothing was changed\.\n {2}Its last line is \d+:[0-9a-f]{64}\./)
    expect(await plugbay(['audit', 'verify', logOf(folder)], folder)).toEqual(verified)
  })

  test('that was killed goes on with the same log when it is started again', async () => {
    const folder = folderWith(one)
    await startAndStop(folder, 'start', 'SIGKILL')
    await eventually(async () => expect((await plugbay(['audit'], folder)).stdout).toContain('action=start'))
    await startAndStop(folder)
    expect((await plugbay(['audit', '--last', '100'], folder)).stdout).toMatch(/action=start[\s\S]*action=start[\s\S]*action=stop: SIGTERM/)
    expect(await plugbay(['audit', 'verify'], folder)).toMatchObject({ code: 0 })
  })

  test('keeps none when the configuration says so, nor does dev unless it says so', async () => {
    const off = folderWith({ ...one, 'plugbay.config.json': { plugins: './plugins', audit: false } })
    await startAndStop(off)
    expect(existsSync(logOf(off))).toBe(false)
    const dev = folderWith(one)
    await startAndStop(dev, 'dev')
    expect(existsSync(logOf(dev))).toBe(false)
  })
})

describe('plugbay audit', () => {
  const logged = async (): Promise<string> => {
    const folder = folderWith({ ...one, 'plugbay.config.json': { plugins: './plugins', audit: { dir: './log' } } })
    await startAndStop(folder)
    return folder
  }

  test('verify names file and line of what was changed, and exits 1', async () => {
    const folder = await logged()
    const file = fileIn(join(folder, 'log'))
    const lines = readFileSync(file, 'utf8').split('\n')
    writeFileSync(file, lines.with(1, (lines[1] ?? '').replace('kernel', 'nobody')).join('\n'))
    const { code, stdout } = await plugbay(['audit', 'verify'], folder)
    expect(code).toBe(1)
    expect(stdout).toMatch(/✗ log\/0{14}1\.jsonl:2: line 2 of the log was changed: its hash does not fit\./)
    const asData = await plugbay(['audit', 'verify', '--json'], folder)
    expect(asData.code).toBe(1)
    expect(JSON.parse(asData.stdout)).toMatchObject({ faults: [{ file: '000000000000001.jsonl', line: 2 }] })
  })

  test('verify --anchor holds the log against a line noted earlier', async () => {
    const folder = await logged()
    const { stdout } = await plugbay(['audit', 'verify'], folder)
    const [, anchor = ''] = /last line is (\S+)\. /.exec(stdout) ?? []
    await startAndStop(folder)
    expect(await plugbay(['audit', 'verify', '--anchor', anchor], folder)).toMatchObject({ code: 0 })
    const other = anchor.replace(/:.*/, `:${'a'.repeat(64)}`)
    expect(await plugbay(['audit', 'verify', '--anchor', other], folder)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('not the one that was noted') as string,
    })
  })

  test('--last and --json give the last entries, one a line', async () => {
    const folder = await logged()
    const { stdout } = await plugbay(['audit', '--last', '2', '--json'], folder)
    const entries = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    expect(entries).toMatchObject([
      { kind: 'plugin.state', plugin: 'one' },
      { kind: 'kernel.state', details: { from: 'stopping', to: 'stopped' } },
    ])
  })

  test('shows what a terminal would obey in what a plugin says, as does the boot tree', async () => {
    const folder = folderWith({
      ...one,
      ...pluginsWith({ two: {} }),
      'plugins/two/index.js': String.raw`export default { start() { throw new Error('no\x1b[2J\u202e') } }`,
    })
    const shown = [await startAndStop(folder), (await plugbay(['audit', '--last', '100'], folder)).stdout]
    for (const text of shown) {
      expect(text).toContain(String.raw`no\x1b[2J\u202e`)
      // oxlint-disable-next-line no-control-regex
      expect(text).not.toMatch(/[\x1b\u202e]/)
    }
  })

  test('a wrong argument, or a folder without a log, is told as such', async () => {
    const folder = folderWith(one)
    expect(await plugbay(['audit', 'verify'], folder)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/There is no audit log in .*data\/\.audit/) as string,
    })
    expect(await plugbay(['audit', '--last', '0'], folder)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('whole number above 0') as string,
    })
    expect(await plugbay(['audit', 'verify', '--anchor', '12'], folder)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('a number and a hash') as string,
    })
  })
})
