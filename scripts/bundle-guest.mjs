// Makes one file of all that a plugin's thread runs before the plugin: a thread pays for each module it loads. And one of what starts it.
import { join } from 'node:path'
import { rolldown } from 'rolldown'

/**
 * A script that is run from compiled code cannot import by itself; whoever runs it gives it a function that can, with a name as long:
 * positions stay what the source map says.
 */
const importThroughFunction = {
  name: 'import-through-function',
  renderChunk: (code) => ({ code: code.replaceAll(/(?<![\w$.])import\(/g, 'loader('), map: null }),
}

/** Node's modules stay what they are: a copy with a getter for each of their members takes longer than loading them. */
const builtinsAsTheyAre = {
  name: 'builtins-as-they-are',
  renderChunk: (code) => ({
    code: code.replaceAll(/(node_\w+) = __toESM\(\1(?:, 1)?\)/g, '$1 = { __proto__: $1, default: $1 }'),
    map: null,
  }),
}

const write = async (root, name, plugins = []) => {
  const bundle = await rolldown({
    input: join(root, `src/sandbox/guest/${name}.ts`),
    platform: 'node',
    plugins,
    tsconfig: join(root, 'tsconfig.json'),
    // comlink is a package; the rest is loaded when a message needs it, from the modules that are there anyway.
    external: (id) => id === 'comlink' || id.endsWith('/misspelt-hook.js'),
  })
  await bundle.write({
    file: join(root, `dist/sandbox/guest/${name}.cjs`),
    // A worker starts a CommonJS file some 5 % sooner; what it imports are ES modules all the same.
    format: 'cjs',
    // As the modules are that it is made of. A stack would show a plugin the guest's own functions else, with what they hold.
    strict: true,
    // A process that ends by an error prints the line it was thrown in, which is the whole of a minified file.
    minify: name !== 'process',
    // One character beyond Latin-1 would double the memory of the source, of which each thread gets a copy.
    charset: 'ascii',
    sourcemap: true,
  })
  await bundle.close()
}

export const bundleGuest = async (root) => {
  await write(root, 'thread', [importThroughFunction, builtinsAsTheyAre])
  await write(root, 'boot')
  await write(root, 'task', [builtinsAsTheyAre])
  await write(root, 'process')
}
