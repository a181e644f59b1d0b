/** Reads the imports of a tree of TypeScript files, type imports included, and checks them against rules that each say why. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import { parseSync, Visitor } from 'oxc-parser'

export interface Import {
  /** As written. */
  specifier: string
  /** The file it means, relative to the root with `/`, or undefined for a package or a Node module. */
  file: string | undefined
  /** False when nothing of it remains after the types are stripped. */
  runtime: boolean
  /** `import()`, which loads when it is reached rather than when the file is. */
  dynamic: boolean
}

/** The imports of each file, by path relative to the root. */
export type ModuleGraph = Map<string, Import[]>

/** A layer of the house: what belongs to it, by path or by folder with a closing slash, and what its reason is. */
export interface Layer {
  name: string
  owns: readonly string[]
}

const importsOf = (path: string, source: string): Import[] => {
  const found: Import[] = []
  const add = (specifier: string, runtime: boolean, dynamic = false) => {
    const file = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts') : undefined
    found.push({ specifier, file, runtime, dynamic })
  }
  const { program, errors } = parseSync(path, source)
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]?.message}`)
  new Visitor({
    ImportDeclaration(node) {
      const named = node.specifiers.length > 0
      const onlyTypes = named && node.specifiers.every((each) => each.type === 'ImportSpecifier' && each.importKind === 'type')
      add(node.source.value, node.importKind !== 'type' && !onlyTypes)
    },
    ExportNamedDeclaration(node) {
      if (node.source) add(node.source.value, node.exportKind !== 'type')
    },
    ExportAllDeclaration(node) {
      add(node.source.value, node.exportKind !== 'type')
    },
    ImportExpression(node) {
      if (node.source.type === 'Literal' && typeof node.source.value === 'string') add(node.source.value, true, true)
    },
    TSImportType(node) {
      add(node.source.value, false)
    },
  }).visit(program)
  return found
}

/** The graph of all .ts files below `root`. */
export const readModuleGraph = (root: string): ModuleGraph => {
  const paths = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
  return new Map(paths.map((path) => [path, importsOf(path, readFileSync(join(root, path), 'utf8'))]))
}

export const layerOf = (path: string, layers: readonly Layer[]): number =>
  layers.findIndex(({ owns }) => owns.some((each) => (each.endsWith('/') ? path.startsWith(each) : path === each)))

/** Imports that go up, and files that no layer owns. Layers come lowest first; those of one row (`apart`) must not know each other. */
export const upwardImports = (graph: ModuleGraph, rows: readonly (readonly Layer[])[]): string[] => {
  const layers = rows.flat()
  const rowOf = (layer: number) => rows.findIndex((row) => row.some((each) => each === layers[layer]))
  const problems: string[] = []
  for (const [path, imports] of graph) {
    const from = layerOf(path, layers)
    const fromLayer = layers[from]
    if (!fromLayer) {
      problems.push(`src/${path} belongs to no layer: give it a place in the list of layers, so that a reader knows what it may know.`)
      continue
    }
    for (const { file } of imports) {
      const to = file === undefined ? -1 : layerOf(file, layers)
      const toLayer = layers[to]
      if (file === undefined || !toLayer || to === from) continue
      if (rowOf(to) > rowOf(from)) {
        problems.push(
          `src/${path} (${fromLayer.name}) imports src/${file} (${toLayer.name}): imports only go down, so that a layer can be understood, ` +
            'tested and replaced without those above it. Move what is shared down, or hand it in as an argument.',
        )
      } else if (rowOf(to) === rowOf(from)) {
        problems.push(
          `src/${path} (${fromLayer.name}) imports src/${file} (${toLayer.name}): these two do not know each other, ` +
            'they meet in the layer above.',
        )
      }
    }
  }
  return problems
}

/** Each circle of imports once, as `a → b → a`. */
export const circles = (graph: ModuleGraph): string[] => {
  const found = new Map<string, string>()
  const done = new Set<string>()
  const trail: string[] = []
  const walk = (path: string) => {
    const at = trail.indexOf(path)
    if (at >= 0) {
      const ring = trail.slice(at)
      const key = [...ring].sort().join(' ')
      if (!found.has(key)) {
        found.set(
          key,
          `${[...ring, path].join(' → ')}: files in a circle can only be understood, loaded and tested all at once. Move what both need down.`,
        )
      }
      return
    }
    if (done.has(path)) return
    trail.push(path)
    for (const { file } of graph.get(path) ?? []) if (file !== undefined && graph.has(file)) walk(file)
    trail.pop()
    done.add(path)
  }
  for (const path of graph.keys()) walk(path)
  return [...found.values()]
}

/** The files that loading `entry` loads, each with the trail that leads to it, itself included. */
const trailsFrom = (graph: ModuleGraph, entry: string): Map<string, string[]> => {
  const trails = new Map([[entry, [entry]]])
  for (const [path, trail] of trails) {
    for (const { file, runtime, dynamic } of graph.get(path) ?? []) {
      if (file !== undefined && runtime && !dynamic && !trails.has(file)) trails.set(file, [...trail, file])
    }
  }
  return trails
}

/** The files that loading `entry` loads, itself included. */
export const filesReachableFrom = (graph: ModuleGraph, entry: string): Set<string> => new Set(trailsFrom(graph, entry).keys())

/** Everything outside the tree (packages, Node modules) that loading `entry` loads, each with the trail of files that leads to it. */
export const reachableFrom = (graph: ModuleGraph, entry: string): Map<string, string[]> => {
  const reached = new Map<string, string[]>()
  for (const [path, trail] of trailsFrom(graph, entry)) {
    for (const { specifier, file, runtime, dynamic } of graph.get(path) ?? []) {
      if (file === undefined && runtime && !dynamic && !reached.has(specifier)) reached.set(specifier, trail)
    }
  }
  return reached
}

/** `ajv/dist/2020.js` → `ajv`, `@swc/wasm-typescript` → itself, `node:fs` → itself. */
export const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
