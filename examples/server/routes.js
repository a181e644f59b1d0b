/** What the server answers: each route calls a service of a plugin, or publishes an event. */

const LONGEST_BODY = 64 * 1024

class HttpError extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

/** What went wrong in a plugin, or on the way there, as a status. */
const STATUS = {
  INVALID_USER: 400,
  UNKNOWN_USER: 404,
  USER_EXISTS: 409,
  // The plugin is not there, is being restarted, or does not answer: come back later.
  SERVICE_UNKNOWN: 503,
  SERVICE_GONE: 503,
  CALL_TIMEOUT: 504,
}

const bodyOf = async (request) => {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > LONGEST_BODY) throw new HttpError(413, `A body has at most ${LONGEST_BODY} bytes.`)
    chunks.push(chunk)
  }
  let body
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw new HttpError(400, `The body is not JSON: ${error.message}`)
  }
  if (typeof body !== 'object' || body === null) throw new HttpError(400, 'The body must be a JSON object.')
  return body
}

const decoded = (part) => {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new HttpError(400, `'${part}' in the address is not properly encoded.`)
  }
}

/** @param {import('plugbay').Kernel} kernel */
export const makeRoutes = (kernel) => {
  // A used service follows its provider from generation to generation: it is asked for once.
  const used = new Map()
  const service = (name) => {
    if (!used.has(name)) {
      const use = kernel.services.use(name, { wait: 1000 })
      used.set(name, use)
      use.catch(() => used.delete(name))
    }
    return used.get(name)
  }

  const findUser = async (id) => {
    const user = await (await service('users')).findById(id)
    if (user === null) throw new HttpError(404, `There is no user ${id}.`)
    return user
  }

  const routes = {
    'GET /': () => [200, { routes: Object.keys(routes) }],

    'POST /login': async ({ request }) => {
      const { userId } = await bodyOf(request)
      if (typeof userId !== 'string') throw new HttpError(400, 'Say who logs in: {"userId": "…"}')
      await findUser(userId)
      await kernel.bus.publish('user.login', { userId })
      // Accepted: what comes of it is up to the plugins. See GET /outbox.
      return [202, { userId }]
    },

    'POST /users': async ({ request }) => [201, await (await service('users')).create(await bodyOf(request))],

    'GET /users': async () => {
      const users = []
      for await (const user of await (await service('users')).list()) users.push(user)
      return [200, users]
    },

    'GET /users/:id': async ({ id }) => [200, await findUser(id)],

    'GET /plugins': () => [200, kernel.plugins()],

    'GET /outbox': async () => [200, await (await service('notifications')).outbox()],
  }

  const find = (method, path) => {
    const [, first = '', id, ...more] = path.split('/')
    const pattern = id === undefined ? `/${first}` : `/${first}/:id`
    const known = (route) => more.length === 0 && Object.hasOwn(routes, route)
    if (known(`${method} ${pattern}`)) return { route: routes[`${method} ${pattern}`], id: id && decoded(id) }
    if (['GET', 'POST'].some((other) => known(`${other} ${pattern}`))) throw new HttpError(405, `${path} does not take ${method}.`)
    throw new HttpError(404, `There is nothing at ${path}. GET / lists what there is.`)
  }

  return async (request, response) => {
    let status
    let body
    try {
      const { route, id } = find(request.method, new URL(request.url, 'http://localhost').pathname)
      ;[status, body] = await route({ request, id })
    } catch (error) {
      status = error.status ?? STATUS[error.code] ?? 500
      body = { error: { code: error.code, message: error.message } }
    }
    const text = `${JSON.stringify(body, null, 2)}\n`
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) })
    response.end(text)
  }
}
