import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { linkedPackages } from '#src/sandbox/host/linked-packages.js'
import { commonFlags, permissionFlags } from '#src/sandbox/host/permission-flags.js'
import { NO_GRANTS } from '#src/sandbox/permissions/grants.js'
import { emptyFolder } from '../../../support/plugin-folder.js'

/**
 * A workspace with an application in `app` that has a plugin `p`, and these links; what one leads to is a package, but for what is named as
 * none, and other links.
 */
const workspace = (links: Record<string, string>, root: object = { workspaces: ['packages/*'] }) => {
  const folder = join(emptyFolder(), 'workspace')
  const at = (path: string): string => join(folder, path)
  const link = (path: string, target: string): void => {
    mkdirSync(dirname(at(path)), { recursive: true })
    rmSync(at(path), { force: true })
    symlinkSync(at(target), at(path), 'junction')
  }
  mkdirSync(at('app/plugins/p'), { recursive: true })
  writeFileSync(at('package.json'), JSON.stringify(root))
  for (const [path, target] of Object.entries(links)) {
    if (!Object.hasOwn(links, target) && !existsSync(at(target))) {
      mkdirSync(at(target), { recursive: true })
      if (!target.includes('none')) writeFileSync(join(at(target), 'package.json'), '{}')
    }
    link(path, target)
  }
  const finder = (writable: string[]) => ({
    root: at('app/plugins/p'),
    closed: [at('app'), at('app/plugins')],
    writable: writable.map((path) => (path === '*' ? path : at(path))),
  })
  return {
    at,
    link,
    find: (...writable: string[]): string[] => linkedPackages(finder(writable)).map((path) => relative(folder, path)),
  }
}

describe('a package to a plugin is', () => {
  it('what is linked above its folder, wherever that lies, and what this links within the workspace', () => {
    const { find } = workspace({
      'node_modules/a': 'packages/a',
      'node_modules/@acme/b': 'packages/b',
      'app/node_modules/far': '../far-none',
      'packages/a/node_modules/c': 'packages/c',
      'packages/c/node_modules/@acme/d': 'packages/d',
      'packages/c/node_modules/out': '../out',
    })
    expect(find().sort()).toEqual(['../far-none', 'packages/a', 'packages/b', 'packages/c', 'packages/d'])
  })

  it('what its own folder links within the workspace, and nothing else that it links', () => {
    const links = {
      'app/plugins/p/node_modules/a': 'packages/a',
      'app/plugins/p/node_modules/b': 'packages/b/none',
      'app/plugins/p/node_modules/c': '../c',
    }
    expect(workspace(links).find()).toEqual(['packages/a'])
    expect(workspace(links, {}).find()).toEqual([])
  })

  it('not the application or what it lies in, nor a folder of plugins', () => {
    const { find } = workspace({
      'node_modules/app': 'app',
      'node_modules/all': '.',
      'node_modules/plugins': 'app/plugins',
      'node_modules/disk': '../..',
    })
    expect(find()).toEqual([])
  })

  it('not what it could have linked itself', () => {
    const { find } = workspace({
      'node_modules/a': 'packages/a',
      'node_modules/@acme/b': 'packages/b',
      'node_modules/c': 'links/c',
      'links/c': 'packages/c',
      'app/plugins/p/node_modules/d': 'packages/d',
    })
    const all = ['packages/a', 'packages/b', 'packages/c', 'packages/d']
    const but = (...names: string[]): string[] => all.filter((each) => !names.some((name) => each.endsWith(name)))
    expect(find('app/plugins/p/data', 'packages').sort()).toEqual(all)
    expect(find('app/plugins/p').sort()).toEqual(but('d'))
    expect(find('node_modules/@acme').sort()).toEqual(but('b'))
    expect(find('node_modules').sort()).toEqual(but('a', 'b', 'c'))
    expect(find('links').sort()).toEqual(but('c'))
    // Who may write what says that there is a workspace makes one.
    expect(find('package.json').sort()).toEqual(but('d'))
    expect(find('.')).toEqual([])
    expect(find('*')).toEqual([])
  })
})

it('plugins without grants share their threads, whatever is linked above them', () => {
  const { at, link } = workspace({ 'node_modules/a': 'packages/a', 'packages/a/node_modules/b': 'packages/b' })
  const application = { base: at('app'), places: [at('app/plugins')] }
  const flags = (name: string): string[] => {
    const root = at(`app/plugins/${name}`)
    return permissionFlags(NO_GRANTS, {
      root,
      packages: linkedPackages({ root, closed: [at('app'), ...application.places], writable: [] }),
      application,
    })
  }
  expect(flags('p')).toEqual(commonFlags(application))
  link('app/plugins/own/node_modules/b', 'packages/b')
  expect(flags('own')).toEqual(commonFlags(application))
})
