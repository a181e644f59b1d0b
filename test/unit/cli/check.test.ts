/** `plugbay check`: every problem at once, each with its code. */
import { describe, expect, test } from 'vitest'
import { folderWith, plugbay, pluginsWith } from '../../support/command.js'

describe('plugbay check', () => {
  test('of a sound folder exits 0 and says how much would start', async () => {
    const folder = folderWith(pluginsWith({ database: {}, users: { dependencies: { database: '^1.0.0' } }, off: { enabled: false } }))
    expect(await plugbay(['check'], folder)).toEqual({
      code: 0,
      stdout: '✓ 2 plugins in 2 waves would start, 1 disabled; nothing to mend.\n',
      stderr: '',
    })
  })

  test('looks into the folder plugins too where a configuration file names none', async () => {
    const folder = folderWith({ ...pluginsWith({ users: {} }), 'plugbay.config.yaml': 'logLevel: warn' })
    expect(await plugbay(['check'], folder)).toMatchObject({ code: 0, stdout: '✓ 1 plugin in 1 wave would start; nothing to mend.\n' })
    const none = folderWith({ ...pluginsWith({ users: {} }), 'plugbay.config.yaml': 'plugins: []' })
    expect(await plugbay(['check'], none)).toMatchObject({ stdout: expect.stringContaining('There are no plugins') as string })
  })

  test('shows what each plugin may do, once one has permissions of its own, and grants for a plugin that is not there', async () => {
    const folder = folderWith({
      ...pluginsWith({
        database: {
          roles: ['writer'],
          permissions: [
            { resource: 'service:database', actions: ['provide'] },
            { resource: 'net:db.example.com', actions: ['connect'] },
            { resource: 'net:0.0.0.0:8080', actions: ['listen'] },
          ],
        },
        users: { permissions: [{ resource: 'service:database', actions: ['call:get', 'call:all'] }] },
        guest: {},
        free: {},
      }),
      'plugbay.config.json': {
        plugins: './plugins',
        roles: { writer: [{ resource: 'fs:data', actions: ['*'] }] },
        grants: { guest: {}, gest: {} },
      },
    })
    expect(await plugbay(['check'], folder)).toEqual({
      code: 0,
      stdout: [
        'database  in thread (default)  may publish all; subscribe all; provide database; read data; write data; connect db.example.com; listen 0.0.0.0:8080',
        'free      in thread (default)  may publish all; subscribe all; provide all; call all',
        'guest     in thread (default)  may nothing',
        'users     in thread (default)  may publish all; subscribe all; call database.get, database.all',
        '',
        "! grants has 'gest', but there is no plugin of that name. Did you mean 'guest'?",
        '✓ 4 plugins in 1 wave would start; nothing to mend.',
        '',
      ].join('\n'),
      stderr: '',
    })
  })

  test('shows where what a plugin may do is not all that it can do: inline, and in tasks of a process', async () => {
    const files = pluginsWith({
      inside: {
        isolation: 'inline',
        permissions: [
          { resource: 'bus:user.*', actions: ['publish'] },
          { resource: 'net:example.com', actions: ['connect'] },
        ],
      },
      apart: { isolation: 'process', tasks: { resize: 'index.js' } },
      alone: { isolation: 'process' },
      held: { isolation: 'process', tasks: { resize: 'index.js' } },
    })
    const { stdout } = await plugbay(['check'], folderWith({ ...files, 'plugbay.config.json': { grants: { held: {} } } }))
    const may = (name: string): string | undefined => new RegExp(`^${name} .* may (.*)$`, 'm').exec(stdout)?.[1]
    const free = 'publish all; subscribe all; provide all; call all'
    expect(may('inside')).toBe('publish user.*; provide all; call all; all else that the application may')
    expect(may('apart')).toBe(`${free} (its tasks run outside that process, in threads of the application)`)
    expect(may('alone')).toBe(free)
    expect(may('held')).toBe('nothing (not its tasks, which would run outside that process)')
  })

  test('shows what a terminal would obey in what a manifest says, as do list and graph', async () => {
    const painted = '\x1b[2J\x1b[1;1H\n✓ 1 plugin in 1 wave would start; nothing to mend.\u202e'
    const folder = folderWith(
      pluginsWith({
        path: { permissions: [{ resource: `fs:/tmp/${painted}`, actions: ['read'] }] },
        kind: { permissions: [{ resource: `kind${painted}`, actions: ['read'] }] },
        named: { name: `named${painted}` },
      }),
    )
    for (const command of ['check', 'list', 'graph']) {
      const { stdout, stderr } = await plugbay([command], folder)
      expect(stdout).toContain(String.raw`\x1b[2J\x1b[1;1H`)
      // oxlint-disable-next-line no-control-regex
      expect(stdout + stderr).not.toMatch(/[\x1b\u202e]|^✓/m)
    }
  })

  test('says which role there is not', async () => {
    const { code, stdout } = await plugbay(['check'], folderWith(pluginsWith({ users: { roles: ['writer'] } })))
    expect(code).toBe(1)
    expect(stdout).toContain("roles[0]: there is no role 'writer'. The kernel's options define none (roles).")
  })

  test('finds the folder from elsewhere', async () => {
    const folder = folderWith(pluginsWith({ database: {} }))
    expect(await plugbay(['check', folder], folderWith())).toMatchObject({ code: 0 })
  })

  test('shows all problems at once, each with its code and its mend, and exits 1', async () => {
    const folder = folderWith({
      ...pluginsWith({
        database: { version: '2.0.0' },
        users: { dependencies: { databse: '^1.0.0', database: '^1.0.0' } },
        hello: { dependencies: { users: '*' } },
        greeter: { dependencies: { hello: '*' } },
        chicken: { dependencies: { egg: '*' } },
        egg: { dependencies: { chicken: '*' } },
        fine: {},
      }),
      'plugins/typo/plugin.json': { name: 'typo', dependancies: {} },
      'plugins/typo/index.js': '',
      'plugins/broken/plugin.json': '{ "name": ',
    })
    const { code, stdout } = await plugbay(['check'], folder)
    expect(code).toBe(1)
    for (const says of [
      'MANIFEST_INVALID',
      'dependancies',
      "Did you mean 'dependencies'?",
      'is not valid JSON',
      'DEPENDENCY_MISSING',
      "'databse' (^1.0.0) is not there. Did you mean 'database'",
      "'database' (^1.0.0) is there in version 2.0.0",
      'left out with it: hello, greeter',
      'DEPENDENCY_CYCLE',
      'chicken → egg → chicken',
      '4 problems; 2 plugins in 1 wave would start.',
    ]) {
      expect(stdout).toContain(says)
    }
    // One root cause for all its victims, one circle for all its members.
    expect(stdout.match(/✗ /g)).toHaveLength(4)
    expect(stdout).not.toContain('DEPENDENCY_FAILED')
  })

  test('takes a plugin named as a property of every object is for one like any other', async () => {
    const schema = { type: 'object', properties: { port: { type: 'integer' } } }
    const folder = folderWith({
      ...pluginsWith({ constructor: { config: { schema } }, users: { dependencies: { constructor: '*' } } }),
      'plugbay.config.json': { plugins: './plugins', config: { users: {} }, grants: { users: {} } },
    })
    const { code, stdout } = await plugbay(['check'], folder)
    expect(stdout).toContain('✓ 2 plugins in 2 waves would start; nothing to mend.')
    expect(code).toBe(0)
  })

  test('remarks on what lies among the plugins and is none', async () => {
    const { code, stdout } = await plugbay(
      ['check'],
      folderWith({ ...pluginsWith({ users: {} }), 'plugins/mail/mail.js': 'export default {}' }),
    )
    expect(stdout).toMatch(/! .*mail is no plugin: .* It has mail\.js/)
    expect(stdout).toContain('✓ 1 plugin in 1 wave would start; nothing to mend.')
    expect(code).toBe(0)
  })

  test('remarks on an activation that does nothing yet', async () => {
    const { code, stdout } = await plugbay(
      ['check'],
      folderWith(pluginsWith({ users: { activation: ['user.*'] }, mail: { activation: 'startup' } })),
    )
    expect(stdout).toMatch(/! The manifest of plugin 'users' has patterns as its activation/)
    expect(stdout.match(/activation/g)).toHaveLength(2)
    expect(stdout).toContain('✓ 2 plugins in 1 wave would start; nothing to mend.')
    expect(code).toBe(0)
  })

  test('shows them as JSON for programs', async () => {
    const { code, stdout } = await plugbay(
      ['check', '--json'],
      folderWith(pluginsWith({ users: { dependencies: { database: '^1.0.0' } } })),
    )
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toEqual({
      problems: [
        expect.objectContaining({
          code: 'DEPENDENCY_MISSING',
          plugin: 'users',
          victims: [],
          details: { missing: [{ name: 'database', range: '^1.0.0' }] },
        }),
      ],
      remarks: [],
    })
  })

  test.each([
    ['plugbay.config.json', '{ "plugin": "./plugins" }', /OPTIONS_INVALID[\s\S]*plugbay\.config\.json[\s\S]*Did you mean 'plugins'/],
    ['plugbay.config.yaml', 'plugins: [', /OPTIONS_INVALID[\s\S]*plugbay\.config\.yaml/],
    ['plugbay.config.js', 'export default {', /OPTIONS_INVALID[\s\S]*plugbay\.config\.js/],
  ])('of a broken %s names the file and exits 1', async (file, text, says) => {
    const { code, stdout } = await plugbay(['check'], folderWith({ [file]: text }))
    expect(stdout).toMatch(says)
    expect(code).toBe(1)
  })

  test('holds configurations against the schemas of their plugins, and names whom a bad one takes along', async () => {
    const schema = { type: 'object', properties: { port: { type: 'integer' } }, required: ['port'], additionalProperties: false }
    const folder = folderWith({
      ...pluginsWith({
        server: { config: { schema } },
        page: { dependencies: { server: '*' } },
        mail: {
          config: { defaults: { key: '${PLUGBAY_TEST_UNSET}' } },
          permissions: [{ resource: 'env:PLUGBAY_TEST_UNSET', actions: ['read'] }],
        },
      }),
      'plugbay.config.json': { plugins: './plugins', config: { server: { prot: 80 }, servr: {} } },
    })
    const { code, stdout } = await plugbay(['check'], folder)
    expect(code).toBe(1)
    for (const says of [
      "! config has 'servr', but there is no plugin of that name. Did you mean 'server'?",
      'CONFIG_INVALID',
      "Did you mean 'port'?",
      'left out with it: page',
      'CONFIG_ENV_MISSING',
      'PLUGBAY_TEST_UNSET',
      '2 problems; 0 plugins in 0 waves would start.',
    ]) {
      expect(stdout).toContain(says)
    }
    expect(await plugbay(['check'], folder, { PLUGBAY_TEST_UNSET: 'x' })).toMatchObject({
      stdout: expect.stringContaining('1 problem; 1 plugin in 1 wave'),
    })
  })

  test('tells of a variable that a manifest names and its plugin may not read', async () => {
    const config = { defaults: { key: '${PLUGBAY_TEST_KEY:-}' } }
    const permissions = [{ resource: 'env:PLUGBAY_TEST_*', actions: ['read'] }]
    const folder = folderWith(pluginsWith({ asks: { config, permissions }, takes: { config } }))
    const { code, stdout } = await plugbay(['check'], folder)
    expect(code).toBe(1)
    expect(stdout).toContain('config.defaults.key names the environment variable PLUGBAY_TEST_KEY')
    expect(stdout).toContain('1 problem; 1 plugin in 1 wave would start.')
  })

  test('shows where each plugin runs and who chose that, once one has a place of its own', async () => {
    const folder = folderWith({
      ...pluginsWith({
        moved: { isolation: 'thread' },
        own: { isolation: 'inline' },
        weak: { restart: { demote: { after: 3 } } },
        free: {},
      }),
      'plugbay.config.json': { plugins: './plugins', isolation: { moved: 'inline', movd: 'thread' } },
    })
    const { code, stdout } = await plugbay(['check'], folder)
    const may = 'may publish all; subscribe all; provide all; call all'
    expect(stdout.split('\n').slice(0, 6)).toEqual([
      `free   in thread (default)                          ${may}`,
      `moved  in inline (operator)                         ${may}; all else that the application may`,
      `own    in inline (manifest)                         ${may}; all else that the application may`,
      `weak   in thread (default, process after 3 faults)  ${may}`,
      '',
      "! isolation has 'movd', but there is no plugin of that name. Did you mean 'moved'?",
    ])
    expect(code).toBe(0)
  })

  test('refuses a kind of place that there is not, with its nearest', async () => {
    const folder = folderWith({
      ...pluginsWith({ free: {} }),
      'plugbay.config.json': { plugins: './plugins', isolation: { free: 'proces' } },
    })
    const { code, stdout } = await plugbay(['check'], folder)
    expect(stdout).toMatch(/OPTIONS_INVALID.*isolation\.free.*Did you mean 'process'/s)
    expect(code).toBe(1)
  })

  test('says so where there are no plugins', async () => {
    const { code, stdout } = await plugbay(['check'], folderWith({ 'plugins/.keep': '' }))
    expect(stdout).toBe('! There are no plugins: `plugbay new plugin <name>` makes a first one.\n')
    expect(code).toBe(0)
  })

  test('finds a place of plugins that is not there', async () => {
    const { code, stdout } = await plugbay(['check'], folderWith({ 'plugins/.keep': '', 'plugbay.config.json': { plugins: './plugns' } }))
    expect(stdout).toMatch(/OPTIONS_INVALID\n {2}plugins names \/.*\/plugns, which is not there\. Did you mean 'plugins'\?\n/)
    expect(code).toBe(1)
  })

  test('says which kind of isolation is not there yet', async () => {
    const { code, stdout } = await plugbay(['check'], folderWith(pluginsWith({ far: { isolation: 'grpc' } })))
    expect(stdout).toContain("ISOLATION_UNAVAILABLE\n  Plugin 'far' asks for isolation 'grpc'")
    expect(code).toBe(1)
  })

  test('reads a configuration file that is elsewhere', async () => {
    const folder = folderWith({ ...pluginsWith({ database: {} }), 'etc/my.yaml': 'base: ..\nplugins: ./plugins\n' })
    expect(await plugbay(['check', '--config', 'etc/my.yaml'], folder)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 plugin in 1 wave'),
    })
  })

  test('of an empty folder says how to begin', async () => {
    const { code, stdout } = await plugbay(['check'], folderWith())
    expect(stdout).toContain('plugbay new plugin <name>')
    expect(code).toBe(1)
  })

  test('runs no plugin', async () => {
    const folder = folderWith({ ...pluginsWith({ loud: {} }), 'plugins/loud/index.js': "console.log('I ran'); process.exit(7)" })
    const { code, stdout, stderr } = await plugbay(['check'], folder)
    expect(stdout + stderr).not.toContain('I ran')
    expect(code).toBe(0)
  })

  test('colours only where it is wanted', async () => {
    const folder = folderWith(pluginsWith({ database: {} }))
    const csi = '\u001B['
    expect((await plugbay(['check'], folder, { NO_COLOR: undefined, FORCE_COLOR: '1' })).stdout).toContain(csi)
    expect((await plugbay(['check'], folder, { NO_COLOR: undefined })).stdout).not.toContain(csi)
  })
})
