// Makes one file of all that a plugin's thread runs before the plugin: a thread pays for each module it loads.
import { join } from 'node:path'
import { rolldown } from 'rolldown'

export const bundleGuest = async (root) => {
  const bundle = await rolldown({
    input: join(root, 'src/sandbox/guest/thread.ts'),
    platform: 'node',
    tsconfig: join(root, 'tsconfig.json'),
    // comlink is a package; the rest is loaded when a message needs it, from the modules that are there anyway.
    external: (id) => id === 'comlink' || id.endsWith('/nearest.js') || id.endsWith('/strip-types.js'),
  })
  await bundle.write({
    file: join(root, 'dist/sandbox/guest/thread.cjs'),
    // A worker starts a CommonJS file some 5 % sooner; what it imports are ES modules all the same.
    format: 'cjs',
    minify: true,
    sourcemap: true,
  })
  await bundle.close()
}
