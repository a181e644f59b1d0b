/** The inspector of this very place, for a plugin whose author looks into it. */
import type * as Inspector from 'node:inspector'

/** Nobody else pays for it. */
const inspector = (): typeof Inspector => process.getBuiltinModule('node:inspector')

/** Resolves the URL that a debugger connects to. Open to this machine alone; whoever else finds the port may run code here. */
export const openInspector = (): { url: string } => {
  const { open, url } = inspector()
  open(0, '127.0.0.1')
  return { url: url() ?? '' }
}

/** Blocks until a debugger is there and says go on; it stops then at the first line of this module. Returns the undo. */
export const waitForDebugger = (module: string): (() => void) => {
  const { waitForDebugger: wait, Session } = inspector()
  wait()
  // A breakpoint of one session stops in all of them. One by line could be put into a function, which is not what runs first.
  const session = new Session()
  session.connect()
  session.on('Debugger.scriptParsed', ({ params: { scriptId, url } }) => {
    if (url !== module) return
    const start = { scriptId, lineNumber: 0, columnNumber: 0 }
    session.post('Debugger.getPossibleBreakpoints', { start, restrictToFunction: true }, (_, { locations: [location] }) => {
      if (location) session.post('Debugger.setBreakpoint', { location })
    })
  })
  session.post('Debugger.enable')
  return () => session.disconnect()
}
