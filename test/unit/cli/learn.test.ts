/** `plugbay dev --learn` as a real process: what it prints, what it writes, and where it does not go. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { folderWith, plugbay, pluginsWith, type RunningCommand, run } from '../../support/command.js'

const MANIFEST = `{
    "name": "shop",
    "version": "1.0.0",
    "limits": { "memory": 64 },
    "permissions": [
        { "resource": "bus:user.*", "actions": ["subscribe"] },
        { "resource": "fs:./old", "actions": ["read"] }
    ],
    "description": "{ of \\"all\\" }"
}
`

const project = (): string =>
  folderWith({
    ...pluginsWith({ idle: {} }),
    'plugins/idle/index.js': 'export default { start() {} }',
    'plugins/shop/plugin.json': MANIFEST,
    'plugins/shop/index.js': `export default {
      async start(ctx) {
        ctx.bus.subscribe('user.*', () => {})
        await ctx.bus.publish('order.paid')
      },
    }`,
  })

const learnt = async (args: string[], folder: string): Promise<{ command: RunningCommand; manifest: () => string }> => {
  const command = run(['dev', ...args], folder)
  await command.says(/2 plugins running/)
  return { command, manifest: () => readFileSync(join(folder, 'plugins/shop/plugin.json'), 'utf8') }
}

const CHANGE = [
  'shop  plugins/shop/plugin.json',
  '  - { "resource": "fs:./old", "actions": ["read"] }',
  '  + { "resource": "bus:order.paid", "actions": ["publish"] }',
  '    { "resource": "bus:user.*", "actions": ["subscribe"] }',
  '  ! It used no service: all is free to it there, as its manifest names nothing.',
].join('\n')

describe('plugbay dev --learn', () => {
  test('prints at the end what each plugin used, and leaves the manifests alone', async () => {
    const { command, manifest } = await learnt(['--learn'], project())
    command.child.kill('SIGINT')
    expect(await command.ended).toEqual({ code: 0, signal: null })
    expect(command.output()).toContain(CHANGE)
    expect(command.output()).toContain('idle  plugins/idle/plugin.json\n    nothing that takes a permission')
    expect(command.output()).toContain('`plugbay dev --learn=write` writes it')
    expect(manifest()).toBe(MANIFEST)
  })

  test('writes at the end, with =write, the permissions alone, and the plugin runs by them', async () => {
    const folder = project()
    const { command, manifest } = await learnt(['--learn=write'], folder)
    command.child.kill('SIGINT')
    expect(await command.ended).toEqual({ code: 0, signal: null })
    expect(command.output()).toContain('wrote plugins/shop/plugin.json')
    expect(manifest()).toBe(
      MANIFEST.replace(/( {8}\{ "resource": "bus:user.*\n).*\n/, (_all, kept: string) => {
        const added = '        { "resource": "bus:order.paid", "actions": ["publish"] },\n'
        return added + kept.replace(',\n', '\n').replace('["subscribe"] },', '["subscribe"] }')
      }),
    )
    expect(readFileSync(join(folder, 'plugins/idle/plugin.json'), 'utf8')).toBe(JSON.stringify({ name: 'idle', version: '1.0.0' }))
    const held = run(['start'], folder)
    await held.says(/2 plugins running/)
    held.child.kill('SIGINT')
    expect(await held.ended).toEqual({ code: 0, signal: null })
    expect(held.output()).not.toContain('PERMISSION_DENIED')
  })

  test.skipIf(process.platform === 'win32')('prints on demand too, and goes on', async () => {
    const { command } = await learnt(['--learn'], project())
    command.child.kill('SIGUSR2')
    await command.says(CHANGE)
    expect(command.child.exitCode).toBeNull()
    command.child.kill('SIGINT')
    expect(await command.ended).toEqual({ code: 0, signal: null })
  })

  test('takes no other word', async () => {
    const { code, stderr } = await plugbay(['dev', '--learn=all'], project())
    expect(stderr).toMatch(/USAGE .*--learn.*print, write/)
    expect(code).toBe(2)
  })
})

describe('plugbay start', () => {
  test.each([
    ['asked to by its options', ['start', '--learn'], {}],
    ['asked to by the configuration', ['start'], { 'plugbay.config.js': "export default { plugins: './plugins', learn: true }" }],
  ])('does not learn, %s', async (_how, args, files) => {
    const { code, stdout, stderr } = await plugbay(args, folderWith({ ...pluginsWith({ idle: {} }), ...files }))
    expect(stderr).toMatch(/USAGE `plugbay start` does not learn.*`plugbay dev --learn`/)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })
})
