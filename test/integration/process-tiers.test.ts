import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { confiners } from '#src/sandbox/host/confiners.js'
import { bin, node } from '../support/command.js'
import { eventually } from '../support/eventually.js'
import { emptyFolder, infoOf, pluginCode, startedWith, writePlugin } from '../support/plugin-folder.js'

/** Whether that process is there, and has not only ended. */
const computes = (pid: number): boolean => {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

const manifest = { isolation: 'process' }
const sandboxed = (await confiners()).bwrap
  ? it
  : (title: string, _body: () => Promise<void>) =>
      it.skip(`${title} (no bubblewrap that works here: apt-get install bubblewrap, and let users make namespaces)`, () => {})

describe('a plugin in a process', () => {
  it('starts where what it was granted is not there, and is told so of what it reads', async () => {
    const far = emptyFolder()
    const permissions = [
      { resource: `fs:${join(far, 'read.txt')}`, actions: ['read'] },
      { resource: `fs:${join(far, 'written.txt')}`, actions: ['write'] },
    ]
    const code = pluginCode(
      { start: `await readFile(${JSON.stringify(join(far, 'read.txt'))}).catch(({ code }) => ctx.log.info(code))` },
      "import { readFile } from 'node:fs/promises'",
    )
    const { kernel, lines } = await startedWith({ far: { code, manifest: { ...manifest, permissions } } })
    expect(infoOf(kernel, 'far').state).toBe('running')
    await eventually(() => expect(lines).toContainEqual(expect.objectContaining({ message: 'ENOENT' })))
  })

  it('is told which permission it lacks where Node would refuse it, and the kernel hears of it', async () => {
    const attempts = {
      'fs:/etc/passwd read': 'readFileSync("/etc/passwd")',
      'fs:/etc/hosts read': 'await readFile("/etc/hosts")',
      'fs:/etc/made write': 'writeFileSync("/etc/made", "")',
      'child use': 'spawnSync("true")',
      'worker use': 'new Worker("", { eval: true })',
      'addons use': 'process.dlopen({ exports: {} }, "/etc/addon.node")',
    }
    const tries = Object.values(attempts).map((attempt) => `async () => { ${attempt} }`)
    const code = pluginCode(
      {
        start: `
          const told = []
          for (const attempt of [${tries.join()}]) await attempt().catch((error) => told.push([error.code, error.plugin, error.details.resource, error.details.action]))
          await ctx.services.provide('told', { told: () => told, missing: () => existsSync(new URL('./none.txt', import.meta.url)) })`,
      },
      `import { spawnSync } from 'node:child_process'\nimport { existsSync, readFileSync, writeFileSync } from 'node:fs'\nimport { readFile } from 'node:fs/promises'\nimport { Worker } from 'node:worker_threads'`,
    )
    const { kernel, faults } = await startedWith({ far: { code, manifest } })
    const { told, missing } = await kernel.services.use('told')
    const expected = Object.keys(attempts).map((each) => each.split(' '))
    expect(await told?.()).toEqual(expected.map((each) => ['PERMISSION_DENIED', 'far', ...each]))
    await eventually(() =>
      expect(faults.map(({ error }) => error.details)).toEqual(expected.map(([resource, action]) => ({ resource, action }))),
    )
    expect(await missing?.()).toBe(false)
  })

  sandboxed('has in a sandbox no network, no other processes and no files but its own', async () => {
    const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const { kernel } = await startedWith({
      far: {
        code: pluginCode(
          {
            start: `
              await ctx.services.provide('far', {
                connect: (port) => new Promise((resolve) => {
                  try { connect(port, '127.0.0.1', () => resolve('connected')).once('error', (error) => resolve(error.code)) }
                  catch (error) { resolve(error.code) }
                }),
                signal: (pid) => { try { return process.kill(pid, 0) } catch (error) { return error.code } },
                interfaces: () => Object.keys(networkInterfaces()).filter((name) => name !== 'lo'),
              })`,
          },
          "import { connect } from 'node:net'\nimport { networkInterfaces } from 'node:os'",
        ),
        manifest,
      },
    })
    expect(infoOf(kernel, 'far').tier).toBe('process+sandbox')
    const far = await kernel.services.use('far')
    const { port } = server.address() as { port: number }
    await expect(far.connect?.(port)).resolves.toMatch(/^(ECONNREFUSED|ENETUNREACH|ERR_ACCESS_DENIED)$/)
    await expect(far.signal?.(process.pid)).resolves.toBe('ESRCH')
    await expect(far.interfaces?.()).resolves.toEqual([])
  })

  sandboxed('keeps what it and its children write into memory within its limit, wherever they write it', async () => {
    const { sizes, shuts } = await confiners()
    const { kernel } = await startedWith({
      far: {
        code: pluginCode(
          {
            start: `
              const sh = (script) => new Promise((resolve) => execFile('/bin/sh', ['-c', script], (error, stdout) => resolve(stdout.trim())))
              await ctx.services.provide('far', {
                fill: (file) => sh('head -c 100000000 /dev/zero > ' + file + '; wc -c < ' + file + '; rm -f ' + file),
                mount: (how) => sh(how + ' && echo mounted'),
                keep: () => sh('echo kept > ' + ctx.dataDir + '/file; cat ' + ctx.dataDir + '/file'),
              })`,
          },
          "import { execFile } from 'node:child_process'",
        ),
        manifest: { ...manifest, limits: { memory: 64 }, permissions: [{ resource: 'child', actions: ['use'] }] },
      },
    })
    const far = await kernel.services.use('far')
    const half = 32 * 1_024 * 1_024
    for (const file of sizes ? ['/tmp/x', '/dev/shm/x'] : []) {
      const held = Number(await far.fill?.(file))
      expect(held, file).toBeGreaterThan(0)
      expect(held, file).toBeLessThanOrEqual(half)
    }
    for (const file of ['/x', '/dev/x', '/proc/x']) await expect(far.fill?.(file), file).resolves.toBe('')
    const mount = 'mount -t tmpfs none /tmp'
    for (const how of ['mount -o remount,rw /', mount, ...(shuts ? [`unshare -Urm ${mount}`] : [])])
      await expect(far.mount?.(how), how).resolves.toBe('')
    await expect(far.keep?.()).resolves.toBe('kept')
    expect(infoOf(kernel, 'far')).toMatchObject({ tier: 'process+sandbox', state: 'running' })
  })

  it.each([['read'], ['write'], ['read', 'write']])('starts with a grant of its own data folder: %s %s', async (...actions) => {
    const code = pluginCode(
      {
        start: `writeFileSync(ctx.dataDir + '/a', 'x'); await ctx.services.provide('p', { read: () => readFileSync(ctx.dataDir + '/a', 'utf8') })`,
      },
      "import { readFileSync, writeFileSync } from 'node:fs'",
    )
    const { kernel } = await startedWith({ p: { code, manifest: { ...manifest, permissions: [{ resource: 'fs:data', actions }] } } })
    expect(await (await kernel.services.use('p'))['read']?.()).toBe('x')
  })

  it('starts whatever the paths that it was granted have in common', async () => {
    const folder = emptyFolder()
    for (const name of ['f-1', 'f.2', 'f', 'f0', 'd-1/x', 'd.2', 'd/e/f', 'd0']) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), name)
    }
    const paths = ['f0', 'f-1', 'f.2', 'f', 'd0', 'd-1', 'd.2', 'd/e', 'd', 'd/e/f']
    const permissions = [...paths, ...paths].map((name) => ({ resource: `fs:${join(folder, name)}`, actions: ['read', 'write'] }))
    const code = pluginCode(
      { start: `await ctx.services.provide('p', { read: (path) => readFileSync(path, 'utf8') })` },
      "import { readFileSync } from 'node:fs'",
    )
    const { kernel } = await startedWith({ p: { code, manifest: { ...manifest, permissions } } })
    const p = await kernel.services.use('p')
    for (const name of ['f', 'd/e/f', 'd-1/x']) expect(await p['read']?.(join(folder, name))).toBe(name)
  })

  it.skipIf(process.platform !== 'linux').each([
    ['none of them', []],
    ['setpriv alone', ['setpriv', 'true']],
  ])(
    'ends with a kernel that was killed, and what it has started too, also where %s is there and it computes without an end',
    async (_, commands) => {
      const folder = emptyFolder()
      for (const command of commands) {
        const found = ['/usr/bin', '/bin'].map((at) => join(at, command)).find((path) => existsSync(path))
        if (found !== undefined) symlinkSync(found, join(folder, command))
      }
      writePlugin(folder, 'plugins/far', {
        code: pluginCode(
          {
            start: `
            const child = spawn('/bin/sleep', ['600'], { stdio: 'ignore' })
            ctx.bus.subscribe('spin', () => { writeFileSync(ctx.dataDir + '/spins', ''); for (;;); })
            await ctx.services.provide('far', { pids: () => [process.pid, child.pid] })`,
          },
          "import { spawn } from 'node:child_process'\nimport { writeFileSync } from 'node:fs'",
        ),
        manifest: { ...manifest, name: 'far', limits: { hang: 600_000 }, permissions: [{ resource: 'child', actions: ['use'] }] },
      })
      writeFileSync(
        join(folder, 'host.mjs'),
        `import { createKernel } from ${JSON.stringify(import.meta.resolve('#src/index.js'))}
       const kernel = await createKernel({ base: ${JSON.stringify(folder)}, plugins: './plugins', dataDir: './data', logLevel: 'silent' })
       await kernel.start()
       console.log(JSON.stringify(await (await kernel.services.use('far')).pids()))
       await kernel.bus.publish('spin')
       setInterval(() => {}, 1_000)`,
      )
      const host = spawn(process.execPath, ['host.mjs'], { cwd: folder, env: { PATH: folder }, stdio: ['ignore', 'pipe', 'inherit'] })
      onTestFinished(() => void host.kill('SIGKILL'))
      const [told] = (await once(host.stdout, 'data')) as [Buffer]
      const pids = JSON.parse(String(told)) as number[]
      onTestFinished(() => {
        for (const pid of pids.filter(computes)) process.kill(pid, 'SIGKILL')
      })
      await eventually(() => expect(existsSync(join(folder, 'data/far/spins'))).toBe(true))
      expect(pids.filter(computes)).toEqual(pids)
      host.kill('SIGKILL')
      await eventually(() => expect(pids.filter(computes)).toEqual([]))
    },
  )

  it('runs where none of the commands is there that hold it, and says so', async () => {
    const folder = emptyFolder()
    writePlugin(folder, 'plugins/far', {
      code: pluginCode(
        {
          start: `
            let read
            try { read = readFileSync(${JSON.stringify(join(folder, 'secret.txt'))}, 'utf8') } catch (error) { read = error.code }
            await ctx.services.provide('far', { read: () => read })`,
        },
        "import { readFileSync } from 'node:fs'",
      ),
      manifest: { ...manifest, name: 'far' },
    })
    writeFileSync(join(folder, 'secret.txt'), 'secret')
    writeFileSync(
      join(folder, 'host.mjs'),
      `import { createKernel } from ${JSON.stringify(import.meta.resolve('#src/index.js'))}
       const kernel = await createKernel({ base: ${JSON.stringify(folder)}, plugins: './plugins', dataDir: './data', logLevel: 'error' })
       await kernel.start()
       const far = await kernel.services.use('far')
       console.log(kernel.plugins()[0].tier, await far.read())
       await kernel.stop()`,
    )
    const without = { PATH: folder }
    await expect(node(['host.mjs'], folder, without)).resolves.toMatchObject({
      stdout: 'process+permission PERMISSION_DENIED\n',
      stderr: expect.stringMatching(/^[^\n]*Plugin 'far' may not read [^\n]*\n$/) as string,
    })
    const listed = await node([bin, 'list', '--json'], folder, without)
    expect(JSON.parse(listed.stdout)).toMatchObject([{ name: 'far', isolation: 'process', tier: 'process+permission' }])
  })
})
