/** Node's permission model, as the Node that runs here has it: its name, and what it has words for. */
import { type Grants, hasNet } from '../permissions/grants.js'

const knows = (flag: string): boolean => process.allowedNodeEnvironmentFlags.has(flag)

/** What turns the model on: from then on nothing is allowed that no other flag allows. */
export const MODEL = knows('--permission') ? '--permission' : '--experimental-permission'

/** Before Node 25 the model says nothing of the network, and has no word for it. */
const NET = knows('--allow-net') ? ['--allow-net'] : []

/** From Node 24 on the kernel can still look into a thread that spins; the gate keeps the plugin from the inspector's module. */
export const INSPECTABLE = knows('--allow-inspector') ? ['--allow-inspector'] : []

/** What is granted beside files and addons. */
export const grantedFlags = (grants: Grants): string[] => [
  ...(grants.child ? ['--allow-child-process'] : []),
  ...(grants.worker ? ['--allow-worker'] : []),
  ...(hasNet(grants) ? NET : []),
]
