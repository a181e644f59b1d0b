import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { WatchedPlace } from '#src/kernel/reload/watched-place.js'
import { Watcher, type WatcherOptions } from '#src/kernel/reload/watcher.js'
import { eventually } from '../../../support/eventually.js'
import { built, withFewDescriptors } from '../../../support/few-descriptors.js'
import { tree, write } from '../../../support/tree.js'

// The tests run side by side, as most of them must wait to see that nothing comes.
const open: Watcher[] = []
afterAll(() => Promise.all(open.map((watcher) => watcher.close())))

/** A watcher that writes down what it reports, with the content a reader would have found at that moment. */
const recording = (options: Partial<WatcherOptions> = {}) => {
  const changes: { name: string; paths: string[]; content: string }[] = []
  const appeared: string[] = []
  const vanished: string[] = []
  const configs: string[] = []
  const contentOf = (path: string | undefined) => {
    try {
      return readFileSync(path ?? '', 'utf8')
    } catch {
      return '(none)'
    }
  }
  const watcher = new Watcher({
    onChange: (name, paths) => changes.push({ name, paths, content: contentOf(paths[0]) }),
    onAppear: (path) => appeared.push(path),
    onVanish: (path) => vanished.push(path),
    onConfig: (name) => configs.push(name),
    // The safety net has tests of its own; here it would hide a lost event.
    poll: 3_600_000,
    ...options,
  })
  open.push(watcher)
  return { watcher, changes, appeared, vanished, configs }
}

const replace = (path: string, content: string): void => {
  writeFileSync(`${path}.tmp`, content)
  renameSync(`${path}.tmp`, path)
}

/** Long enough for every look the watcher takes after an event. A wait for what must not come has no condition to wait for. */
const quiet = () => wait(600)

const tracking = async (files: Record<string, string>, options: Partial<WatcherOptions> = {}) => {
  const root = tree(files)
  const paths = Object.keys(files).map((path) => join(root, path))
  const record = recording(options)
  await record.watcher.track('hello', paths)
  await record.watcher.ready()
  return { ...record, root, paths, file: paths[0] ?? '' }
}

describe.concurrent('a saved file is reported once, with its new content', () => {
  test.each<[string, (path: string) => void]>([
    ['an atomic replacement', (path) => replace(path, 'two')],
    ['a write in place', (path) => writeFileSync(path, 'two')],
    ['an append', (path) => appendFileSync(path, ' two')],
    [
      'a delete and a new file',
      (path) => {
        unlinkSync(path)
        writeFileSync(path, 'two')
      },
    ],
    [
      'a save as vim does it',
      (path) => {
        renameSync(path, `${path}~`)
        writeFileSync(path, 'two')
        unlinkSync(`${path}~`)
      },
    ],
    [
      'a write that keeps size and time',
      (path) => {
        const then = new Date(1_700_000_000_000)
        writeFileSync(path, 'two')
        utimesSync(path, then, then)
      },
    ],
  ])('%s', async (_, save) => {
    const { changes, file } = await tracking({ 'index.js': 'one' })
    save(file)
    await eventually(() => expect(changes).not.toEqual([]))
    await quiet()
    expect(changes).toEqual([{ name: 'hello', paths: [file], content: readFileSync(file, 'utf8') }])
    expect(changes[0]?.content).toContain('two')
  })

  test('again and again', async () => {
    const { changes, file } = await tracking({ 'index.js': 'v0' })
    for (let version = 1; version <= 5; version++) {
      replace(file, `v${version}`)
      await eventually(() => expect(changes.at(-1)?.content).toBe(`v${version}`))
    }
    expect(changes).toHaveLength(5)
  })

  test.each([1, 5, 15, 30, 55])('the last of two saves %i ms apart is never missed', async (gap) => {
    const { changes, file } = await tracking({ 'index.js': 'v0' })
    for (let round = 0; round < 3; round++) {
      replace(file, `first ${round}`)
      await wait(gap)
      writeFileSync(file, `last ${round}`)
      await eventually(() => expect(changes.at(-1)?.content).toBe(`last ${round}`))
    }
  })
})

describe.concurrent('a file that others have read while it was another', () => {
  /** Another, and back: all that there was to see of it has been seen when the neighbour is reported. */
  const back = (root: string, file: string, content: string): void => {
    writeFileSync(file, 'two')
    writeFileSync(file, 'one')
    write(join(root, 'later.js'), content)
  }

  test('is reported though it is back to what it was', async () => {
    const { changes, file, watcher } = await tracking({ 'index.js': 'one' }, { settle: 300 })
    writeFileSync(file, 'two')
    await watcher.track('hello', [file])
    writeFileSync(file, 'one')
    await eventually(() => expect(changes).toEqual([{ name: 'hello', paths: [file], content: 'one' }]))
  })

  test('is reported though it was back before it was tracked', async () => {
    const { changes, file, watcher, root } = await tracking({ 'index.js': 'one', 'later.js': 'old' })
    const since = performance.now()
    back(root, file, 'new')
    await eventually(() => expect(changes).toHaveLength(1))
    await watcher.track('hello', [file], since)
    await eventually(() => expect(changes.map(({ paths }) => paths)).toEqual([[join(root, 'later.js')], [file]]))
  })

  test('is reported though it was back before its reading was over, and not where it was before that began', async () => {
    const { changes, file, watcher, root } = await tracking({ 'index.js': 'one', 'later.js': 'old' })
    back(root, file, 'new')
    await eventually(() => expect(changes).toHaveLength(1))
    const files = [file, join(root, 'later.js')]
    await watcher.track('hello', files)
    await watcher.taken('hello')
    await quiet()
    expect(changes).toHaveLength(1)
    back(root, file, 'newer')
    await eventually(() => expect(changes).toHaveLength(2))
    await watcher.taken('hello')
    await eventually(() => expect(changes.at(-1)).toEqual({ name: 'hello', paths: [file], content: 'one' }))
  })
})

describe.concurrent('what is asked for between reports', () => {
  test('a file of which it is not known yet what it is does not stir', async () => {
    const { watcher } = recording()
    const tracked = watcher.track('hello', [join(tree({ 'index.js': '1' }), 'index.js')])
    expect(await watcher.stirs('hello')).toBe(false)
    await tracked
  })

  test('a file stirs where it may be another, and not where it was merely touched, or is just being looked at', async () => {
    const { watcher, changes, file } = await tracking({ 'index.js': 'one' })
    expect(await watcher.stirs('hello')).toBe(false)
    expect(await Promise.all([watcher.stirs('hello'), watcher.stirs('hello')])).toEqual([false, false])
    const before = performance.now()
    utimesSync(file, new Date(), new Date())
    expect(await Promise.all([watcher.stirs('hello'), watcher.stirs('hello')])).toEqual([false, false])
    // It may have been written with what it held, and not been whole meanwhile, for all who ask.
    expect(await Promise.all([watcher.stirs('hello', before), watcher.stirs('hello', before)])).toEqual([true, true])
    expect(await watcher.stirs('hello', performance.now())).toBe(false)
    replace(file, 'two')
    expect(await watcher.stirs('hello')).toBe(true)
    await eventually(() => expect(changes).toHaveLength(1))
    expect(await watcher.stirs('hello')).toBe(false)
  })
})

describe.concurrent('no report is made', () => {
  test.each<[string, (path: string) => void]>([
    ['of a touch', (path) => utimesSync(path, new Date(), new Date())],
    ['of a chmod', (path) => chmodSync(path, 0o755)],
    ['of a save without a change', (path) => writeFileSync(path, 'one')],
    ['of a replacement by the same content', (path) => replace(path, 'one')],
    [
      'of a file that is gone for a moment only',
      (path) => {
        renameSync(path, `${path}~`)
        renameSync(`${path}~`, path)
      },
    ],
    ['of a neighbour that is not tracked', (path) => write(join(path, '../other.js'), 'x')],
    ['of what lies in node_modules', (path) => write(join(path, '../node_modules/x/index.js'), 'x')],
  ])('%s', async (_, act) => {
    const { changes, file } = await tracking({ 'index.js': 'one' })
    act(file)
    await quiet()
    expect(changes).toEqual([])
    // The watch still works: nothing was reported because there was nothing to report.
    replace(file, 'two')
    await eventually(() => expect(changes).toHaveLength(1))
  })

  test('of a file that is being written, until it is whole', async () => {
    const { changes, file } = await tracking({ 'index.js': 'one' }, { settle: 300 })
    const handle = openSync(file, 'w')
    for (const part of ['a', 'b', 'c', 'd']) {
      writeSync(handle, part)
      await wait(20)
    }
    closeSync(handle)
    await eventually(() => expect(changes).not.toEqual([]))
    await quiet()
    expect(changes.map(({ content }) => content)).toEqual(['abcd'])
  })

  test('of a new file that is being written in the place of another, until it is whole', async () => {
    const { changes, file } = await tracking({ 'index.js': 'one' }, { settle: 300 })
    renameSync(file, `${file}~`) // so that the new file has another inode for sure
    const handle = openSync(file, 'wx')
    for (const part of ['a', 'b', 'c', 'd']) {
      writeSync(handle, part)
      await wait(20)
    }
    closeSync(handle)
    await eventually(() => expect(changes).not.toEqual([]))
    await quiet()
    expect(changes.map(({ content }) => content)).toEqual(['abcd'])
  })

  test('of a file emptied before it is written', async () => {
    const { changes, file } = await tracking({ 'index.js': 'one' }, { settle: 50 })
    truncateSync(file)
    await wait(80)
    writeFileSync(file, 'two')
    await eventually(() => expect(changes).not.toEqual([]))
    await quiet()
    expect(changes.map(({ content }) => content)).toEqual(['two'])
  })

  test('after untrack, and after close', async () => {
    const { watcher, changes, file } = await tracking({ 'index.js': 'one' })
    watcher.untrack('hello')
    replace(file, 'two')
    await quiet()
    await watcher.track('hello', [file])
    await watcher.ready()
    replace(file, 'three')
    await watcher.close()
    await quiet()
    expect(changes).toEqual([])
  })
})

describe.concurrent('what else is seen', () => {
  test('a file left empty, and one that is removed', async () => {
    const { changes, root } = await tracking({ 'a.js': 'one', 'b.js': 'one' })
    truncateSync(join(root, 'a.js'))
    await eventually(() => expect(changes.map(({ paths }) => paths)).toEqual([[join(root, 'a.js')]]))
    unlinkSync(join(root, 'b.js'))
    await eventually(() => expect(changes.map(({ paths }) => paths)).toEqual([[join(root, 'a.js')], [join(root, 'b.js')]]))
  })

  // Whoever reads it waits for what the system says next: only root may.
  test.runIf(process.platform === 'linux' && process.getuid?.() === 0)('what is named beside a file without an end', async () => {
    const folder = tree({ 'a.js': 'one' })
    const { watcher, changes } = recording()
    await watcher.track('p', ['/proc/kmsg', join(folder, 'a.js')])
    await watcher.ready()
    replace(join(folder, 'a.js'), 'two')
    await eventually(() => expect(changes).toMatchObject([{ name: 'p', content: 'two' }]))
  })

  test('of a long file what is anywhere in it', async () => {
    const { changes, file } = await tracking({ 'a.json': 'x'.repeat(200_000) })
    replace(file, `${'x'.repeat(150_000)}y${'x'.repeat(49_999)}`)
    await eventually(() => expect(changes).toMatchObject([{ paths: [file] }]))
  })

  test('of files of more than 16 MiB together, of which not all are read, a touch', async () => {
    const { watcher, changes, paths } = await tracking({ 'a.json': 'x', 'b.json': 'x' }, { settle: 5 })
    for (const path of paths) truncateSync(path, 9 * 2 ** 20)
    await eventually(() => expect(changes.flatMap((change) => change.paths).sort()).toEqual(paths))
    await watcher.stirs('hello')
    changes.length = 0
    for (const path of paths) utimesSync(path, 1, 1)
    await eventually(() => expect(changes).toHaveLength(1))
    await quiet()
    expect(changes).toHaveLength(1)
    expect(changes[0]?.paths).toHaveLength(1)
  })

  test('where there are more files than descriptors, all', async () => {
    const root = tree(Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`${at}.json`, 'one'])))
    const program = `
      import { appendFileSync, readdirSync, utimesSync } from 'node:fs'
      import { Watcher } from ${built('kernel/reload/watcher.js')}
      const files = readdirSync('.').map((name) => process.cwd() + '/' + name)
      const changes = []
      const watcher = new Watcher({ onChange: (_, paths) => changes.push(...paths) })
      await watcher.track('p', files)
      for (const file of files) utimesSync(file, 1, 1)
      await watcher.stirs('p')
      appendFileSync(files[0], ' two')
      while (changes.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
      await watcher.close()
      console.log(JSON.stringify(changes.length))`
    expect(await withFewDescriptors(program, root)).toBe(1)
  })

  test('a missing file that appears', async () => {
    const root = tree({ 'index.js': 'one' })
    const { watcher, changes } = recording()
    await watcher.track('hello', [join(root, 'index.js'), join(root, 'gone.js')])
    await watcher.ready()
    replace(join(root, 'gone.js'), 'here')
    await eventually(() => expect(changes.map(({ paths }) => paths)).toEqual([[join(root, 'gone.js')]]))
  })

  test('files in other folders, for each plugin that is made of them', async () => {
    const root = tree({ 'a/index.js': '', 'b/index.js': '', 'shared/lib.js': 'one' })
    const { watcher, changes } = recording()
    const shared = join(root, 'shared/lib.js')
    await watcher.track('a', [join(root, 'a/index.js'), shared])
    await watcher.track('b', [join(root, 'b/index.js'), shared])
    await watcher.ready()
    replace(shared, 'two')
    await eventually(() => expect(changes.map(({ name }) => name).sort()).toEqual(['a', 'b']))
    watcher.untrack('a')
    replace(shared, 'three')
    await eventually(() => expect(changes.map(({ name }) => name).sort()).toEqual(['a', 'b', 'b']))
  })

  test('files saved together, in one report', async () => {
    const { changes, paths } = await tracking({ 'a.js': 'one', 'b.js': 'one', 'c.js': 'one' })
    for (const path of paths) writeFileSync(path, 'two')
    await eventually(() => expect(changes).not.toEqual([]))
    await quiet()
    expect(changes.map((change) => change.paths)).toEqual([paths])
  })

  test('the files of the latest track alone', async () => {
    const { watcher, changes, root } = await tracking({ 'a.js': 'one', 'b.js': 'one' })
    await watcher.track('hello', [join(root, 'b.js')])
    replace(join(root, 'a.js'), 'two')
    await quiet()
    expect(changes).toEqual([])
    replace(join(root, 'b.js'), 'two')
    await eventually(() => expect(changes).toHaveLength(1))
  })

  test('a link that is swapped, as a mounted configuration map does it', async () => {
    const root = tree({ 'mount/..v1/index.js': 'one', 'mount/..v2/index.js': 'two' })
    const mount = join(root, 'mount')
    symlinkSync('..v1', join(mount, '..data'))
    symlinkSync('..data/index.js', join(mount, 'index.js'))
    const { watcher, changes } = recording()
    await watcher.track('hello', [join(mount, 'index.js')])
    await watcher.ready()
    symlinkSync('..v2', join(mount, '..next'))
    renameSync(join(mount, '..next'), join(mount, '..data'))
    await eventually(() => expect(changes.map(({ content }) => content)).toEqual(['two']))
    // From now on the new target counts.
    replace(join(mount, '..v2/index.js'), 'three')
    await eventually(() => expect(changes.map(({ content }) => content)).toEqual(['two', 'three']))
  })

  test('a linked folder that is swapped', async () => {
    const root = tree({ 'releases/1/index.js': 'one', 'releases/2/index.js': 'two' })
    symlinkSync('releases/1', join(root, 'current'))
    const { watcher, changes } = recording()
    await watcher.track('hello', [join(root, 'current/index.js')])
    await watcher.ready()
    symlinkSync('releases/2', join(root, 'next'))
    renameSync(join(root, 'next'), join(root, 'current'))
    await eventually(() => expect(changes.map(({ content }) => content)).toEqual(['two']))
  })

  test('a folder that is replaced, and what is saved in it afterwards', async () => {
    const { changes, root } = await tracking({ 'lib/a.js': 'one', 'index.js': 'x' })
    write(join(root, 'next/a.js'), 'two')
    renameSync(join(root, 'lib'), join(root, 'old'))
    renameSync(join(root, 'next'), join(root, 'lib'))
    await eventually(() => expect(changes.map(({ content }) => content)).toEqual(['two']))
    await quiet()
    replace(join(root, 'lib/a.js'), 'three')
    await eventually(() => expect(changes.map(({ content }) => content)).toEqual(['two', 'three']))
  })

  test('a folder that is replaced while nothing beside it is watched', async () => {
    const { changes, root } = await tracking({ 'lib/a.js': 'one' })
    write(join(root, 'next/a.js'), 'two')
    renameSync(join(root, 'lib'), join(root, 'old'))
    renameSync(join(root, 'next'), join(root, 'lib'))
    await eventually(() => expect(changes.map(({ content }) => content)).toEqual(['two']))
  })

  test('what no event told of, by the safety net', async () => {
    const root = tree({ 'a.js': 'one' })
    const { watcher, changes } = recording({ poll: 50 })
    // Not there yet, and neither is the folder: there is nothing to put a watch on.
    await watcher.track('hello', [join(root, 'deep/er/b.js')])
    await watcher.ready()
    write(join(root, 'deep/er/b.js'), 'here')
    await eventually(() => expect(changes.map(({ content }) => content)).toEqual(['here']))
  })
})

test.concurrent('what is written anew with what it held, each time it is read, is reported once and not without end', async () => {
  const { watcher, changes, file } = await tracking({ 'index.js': 'one' })
  const load = async (): Promise<void> => {
    await watcher.track('hello', [file])
    writeFileSync(file, 'one')
    await watcher.taken('hello')
  }
  await load()
  await eventually(() => expect(changes).toHaveLength(1))
  await load()
  await quiet()
  expect(changes).toHaveLength(1)
  writeFileSync(file, 'two')
  await eventually(() => expect(changes.at(-1)?.content).toBe('two'))
})

describe.concurrent('a folder of plugins', () => {
  const watching = async (files: Record<string, string> = {}, options: Partial<WatcherOptions> = {}, known?: string[]) => {
    const root = tree({ 'plugins/.keep': '', ...files })
    const place = join(root, 'plugins')
    const record = recording(options)
    await record.watcher.watchPlaces(
      [place],
      known?.map((name) => join(place, name)),
    )
    await record.watcher.ready()
    return { ...record, place }
  }

  test('reports a file and a folder that are dropped in', async () => {
    const { appeared, place } = await watching({ 'plugins/old.js': '' })
    write(join(place, 'new.js'), 'export default {}')
    write(join(place, 'folder/plugin.json'), { name: 'folder' })
    write(join(place, 'folder/index.js'), 'export default {}')
    await eventually(() => expect(appeared.sort()).toEqual([join(place, 'folder'), join(place, 'new.js')]))
    await quiet()
    expect(appeared).toHaveLength(2)
  })

  test.each([
    ['it', 'plugins'],
    ['the folder that it is in', '.'],
  ])('reports what is dropped in after %s was removed and came back, again and again', async (_, removed) => {
    const root = tree({ 'app/plugins/a.js': 'one' })
    const file = join(root, 'app/plugins/a.js')
    const { watcher, appeared, vanished } = recording()
    await watcher.watchPlaces([join(root, 'app/plugins')])
    for (const times of [1, 2]) {
      rmSync(join(root, 'app', removed), { recursive: true })
      await eventually(() => expect(vanished).toHaveLength(times))
      write(file, `again ${times}`)
      await eventually(() => expect(appeared).toEqual(Array.from({ length: times }, () => file)))
    }
  })

  test('reports what is dropped in when its place comes to be there', async () => {
    const root = tree({})
    const { watcher, appeared } = recording()
    await watcher.watchPlaces([join(root, 'app/plugins')])
    write(join(root, 'app/plugins/a.js'), 'one')
    await eventually(() => expect(appeared).toEqual([join(root, 'app/plugins/a.js')]))
  })

  test('reports a folder that is moved in whole, and one that is copied in', async () => {
    const outside = tree({
      'moved/index.js': 'x',
      'copied/plugin.json': '{"name":"copied"}',
      'copied/index.js': 'x',
      'copied/lib/a.js': 'x',
    })
    const { appeared, place } = await watching()
    renameSync(join(outside, 'moved'), join(place, 'moved'))
    execFileSync('cp', ['-r', join(outside, 'copied'), place])
    await eventually(() => expect(appeared.sort()).toEqual([join(place, 'copied'), join(place, 'moved')]))
  })

  test('waits until a folder has become a plugin', async () => {
    const { appeared, place } = await watching()
    mkdirSync(join(place, 'slow'))
    write(join(place, 'slow/README.md'), 'soon')
    await quiet()
    expect(appeared).toEqual([])
    write(join(place, 'slow/index.js'), 'x')
    await eventually(() => expect(appeared).toEqual([join(place, 'slow')]))
  })

  test('passes by what is no plugin', async () => {
    const { appeared, vanished, place } = await watching({ 'plugins/notes.md': '' })
    for (const path of ['README.md', '.hidden.js', 'a.test.js', 'types.d.ts', 'node_modules/index.js', '.git/index.js', 'empty/data.bin']) {
      write(join(place, path), 'x')
    }
    rmSync(join(place, 'notes.md'))
    await quiet()
    expect(appeared).toEqual([])
    expect(vanished).toEqual([])
  })

  test('passes by ignored folders', async () => {
    const root = tree({ 'plugins/.keep': '' })
    const data = join(root, 'plugins/data')
    const { watcher, appeared } = recording({ ignore: [data] })
    await watcher.watchPlaces([join(root, 'plugins')])
    write(join(data, 'index.js'), 'x')
    await quiet()
    expect(appeared).toEqual([])
  })

  test('reports a plugin that is taken out, once, and not as a change', async () => {
    // Longer than by default, so that a machine that stands still for a while makes no difference: who is told looks at the place first.
    const settle = 200
    const { watcher, changes, vanished, appeared, place } = await watching({ 'plugins/a.js': 'x', 'plugins/b/index.js': 'x' }, { settle })
    await watcher.track('a', [join(place, 'a.js')])
    await watcher.track('b', [join(place, 'b/index.js')])
    rmSync(join(place, 'a.js'))
    rmSync(join(place, 'b'), { recursive: true })
    await eventually(() => expect(vanished.sort()).toEqual([join(place, 'a.js'), join(place, 'b')]))
    expect(changes).toEqual([])
    watcher.untrack('a')
    watcher.untrack('b')
    await quiet()
    expect(changes).toEqual([])
    expect(vanished).toHaveLength(2)
    write(join(place, 'a.js'), 'again')
    await eventually(() => expect(appeared).toEqual([join(place, 'a.js')]))
  })

  test('says when it is certain whether plugins are gone', async () => {
    const { watcher, vanished, place } = await watching({ 'plugins/gone.js': 'x', 'plugins/back.js': 'x', 'plugins/there.js': 'x' })
    const paths = ['gone.js', 'back.js', 'there.js', 'never.js'].map((name) => join(place, name))
    await watcher.track('all', paths.slice(0, -1))
    unlinkSync(join(place, 'gone.js'))
    unlinkSync(join(place, 'back.js'))
    const judged = watcher.judged(paths)
    writeFileSync(join(place, 'back.js'), 'y')
    await judged
    expect(vanished).toEqual([join(place, 'gone.js')])
    // As long as it is tracked that is told whoever asks.
    await watcher.judged(paths)
    expect(vanished).toEqual([join(place, 'gone.js'), join(place, 'gone.js')])
    // Nobody looks any more.
    const never = watcher.judged(paths)
    await watcher.close()
    await never
  })

  test('does not take a save for a removal', async () => {
    const { watcher, changes, vanished, appeared, place } = await watching({ 'plugins/a.js': 'one' })
    const file = join(place, 'a.js')
    await watcher.track('a', [file])
    await watcher.ready()
    renameSync(file, `${file}~`)
    await wait(30)
    writeFileSync(file, 'two')
    await eventually(() => expect(changes.map(({ content }) => content)).toEqual(['two']))
    await quiet()
    expect({ vanished, appeared }).toEqual({ vanished: [], appeared: [] })
  })

  test('reports a plugin that is taken out at any moment of a look at it', async () => {
    const names = Array.from({ length: 300 }, (_, number) => `p${number}.js`)
    const root = tree(Object.fromEntries(names.map((name) => [name, 'one'])))
    const vanished: string[] = []
    const place = new WatchedPlace(root, {
      settle: 1,
      isIgnored: () => false,
      tracked: () => new Set(names.map((name) => join(root, name))),
      watchFolder: () => () => {},
      onAppear: () => {},
      onVanish: (path) => vanished.push(basename(path)),
    })
    await place.ready
    await Promise.all(
      names.map(async (name, number) => {
        void place.look(name)
        await wait(number / 10)
        rmSync(join(root, name))
        void place.look(name)
      }),
    )
    await eventually(() => expect(vanished.sort()).toEqual([...names].sort()))
    place.close()
  })

  test('reports a plugin that was unusable and is mended', async () => {
    const { appeared, place } = await watching({ 'plugins/bad/plugin.json': '{', 'plugins/bad/index.js': 'x' })
    replace(join(place, 'bad/plugin.json'), '{"name":"bad"}')
    await eventually(() => expect(appeared).toEqual([join(place, 'bad')]))
  })

  test('reports nothing of a tracked plugin, nor at once when it is let go', async () => {
    const { watcher, changes, appeared, place } = await watching({ 'plugins/a/index.js': 'one' }, { poll: 50 })
    const file = join(place, 'a/index.js')
    await watcher.track('a', [file])
    await watcher.ready()
    replace(file, 'two')
    await eventually(() => expect(changes).toHaveLength(1))
    watcher.untrack('a')
    await quiet()
    expect(appeared).toEqual([])
    replace(file, 'three')
    await eventually(() => expect(appeared).toEqual([join(place, 'a')]))
  })

  test('reports what came between the discovery and the watch', async () => {
    const { appeared, place } = await watching({ 'plugins/known.js': 'x', 'plugins/late.js': 'x' }, {}, ['known.js'])
    await eventually(() => expect(appeared).toEqual([join(place, 'late.js')]))
  })
})

describe.concurrent('a folder of configuration', () => {
  test('reports a file that is changed, that comes and that goes, by the name of its plugin', async () => {
    const root = tree({ 'hello.yaml': 'a: 1', 'other.json': '{}' })
    const { watcher, configs } = recording()
    await watcher.watchConfig(root)
    replace(join(root, 'hello.yaml'), 'a: 2')
    await eventually(() => expect(configs).toEqual(['hello']))
    writeFileSync(join(root, 'price.watch.yml'), 'a: 1')
    await eventually(() => expect(configs).toEqual(['hello', 'price.watch']))
    unlinkSync(join(root, 'other.json'))
    await eventually(() => expect(configs).toEqual(['hello', 'price.watch', 'other']))
    writeFileSync(join(root, 'notes.txt'), 'x')
    utimesSync(join(root, 'hello.yaml'), new Date(), new Date())
    await quiet()
    expect(configs).toHaveLength(3)
  })

  test('reports a file in a folder that comes to be there, and comes back', async () => {
    const root = tree({})
    const file = join(root, 'config/hello.yaml')
    const { watcher, configs } = recording()
    await watcher.watchConfig(join(root, 'config'))
    write(file, 'a: 1')
    await eventually(() => expect(configs).toEqual(['hello']))
    rmSync(join(root, 'config'), { recursive: true })
    await eventually(() => expect(configs).toEqual(['hello', 'hello']))
    write(file, 'a: 2')
    await eventually(() => expect(configs).toEqual(['hello', 'hello', 'hello']))
  })
})

describe.concurrent('closing', () => {
  test('may come at any moment, twice, and in the middle of opening', async () => {
    const root = tree({ 'a.js': 'x', 'plugins/b.js': 'x' })
    const { watcher } = recording()
    const tracking = watcher.track('a', [join(root, 'a.js')])
    const places = watcher.watchPlaces([join(root, 'plugins')])
    await Promise.all([watcher.close(), watcher.close()])
    await Promise.all([tracking, places])
    await watcher.track('b', [join(root, 'a.js')])
    await watcher.ready()
  })

  test('one watcher leaves another on the same folder working', async () => {
    const { changes, file } = await tracking({ 'index.js': 'one' })
    const other = recording()
    await other.watcher.track('x', [file])
    await other.watcher.ready()
    await other.watcher.close()
    replace(file, 'two')
    await eventually(() => expect(changes).toHaveLength(1))
  })
})
