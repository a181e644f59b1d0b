/** Brings the module hooks of Node 20 into a task thread: imported before the task by `--import`. */
import { register } from 'node:module'

register('./off-thread-hooks.js', import.meta.url, { data: { pluginModule: new URL('../plugin.js', import.meta.url).href } })
