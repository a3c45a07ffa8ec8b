import { request as send } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
  readonly url: URL
}

export interface Visit {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The port to connect to where it is not the URL's. */
  readonly port?: number | undefined
}

/** Everything that passed between this browser and the world, for canary searches. */
export interface Seen {
  readonly url: string
  readonly status: number
  readonly headers: string
  readonly body: string
}

interface JarCookie {
  readonly name: string
  readonly value: string
  readonly strict: boolean
  readonly path: string
}

/**
 * A browser reduced to what decides a login: cookies by host name and path (ports are ignored, as browsers do), SameSite, redirects, `Refresh`, Fetch Metadata.
 * What real browsers do beyond that is tested with a real one in test/browser.
 */
export class Browser {
  readonly seen: Seen[] = []
  /** Origin → the port that answers for it: a load balancer in one line. The Host header stays what the URL says. */
  readonly through = new Map<string, number>()
  readonly #jar = new Map<string, Map<string, JarCookie>>()

  cookies(host: string): ReadonlyMap<string, string> {
    return new Map([...this.#of(host).values()].map(({ name, value }) => [name, value]))
  }
  setCookie(host: string, name: string, value: string, strict = false): void {
    this.#of(host).set(keyOf(name, '/'), { name, value, strict, path: '/' })
  }
  clearCookies(host: string): void {
    this.#jar.delete(host)
  }

  /** A top-level navigation from `from` (undefined: typed), followed to its end through redirects and `Refresh`. */
  async navigate(
    to: string | URL,
    options: Visit & { readonly from?: URL; readonly follow?: boolean; readonly until?: (answer: Answer) => boolean } = {},
  ): Promise<Answer> {
    let url = new URL(to)
    let method = options.method ?? 'GET'
    let body = options.body
    let initiator = options.from
    let crossSite = false
    for (let hops = 0; hops < 20; hops += 1) {
      crossSite ||= initiator !== undefined && !sameSite(initiator, url)
      const site =
        initiator === undefined ? 'none' : crossSite ? 'cross-site' : initiator.origin === url.origin ? 'same-origin' : 'same-site'
      const answer = await this.#exchange(
        url,
        {
          method,
          ...(body !== undefined && { body }),
          headers: {
            ...navigation(site),
            ...options.headers,
            ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
          },
        },
        !crossSite,
      )
      if (options.follow === false || options.until?.(answer)) return answer
      const location = answer.headers['location']
      const refresh = /^0;\s*url=(.*)$/.exec(String(answer.headers['refresh'] ?? ''))?.[1]
      if (answer.status >= 300 && answer.status < 400 && typeof location === 'string') {
        initiator ??= url
        url = new URL(location, url)
        if (answer.status !== 307 && answer.status !== 308) [method, body] = ['GET', undefined]
      } else if (refresh !== undefined) {
        // A new navigation started by this very document: the redirect chain before it is forgotten.
        initiator = url
        crossSite = false
        url = new URL(refresh, url)
        ;[method, body] = ['GET', undefined]
      } else return answer
    }
    throw new Error('redirected more than 20 times')
  }

  /** A fetch by script of a page on the same origin, with the CSRF header. */
  fetch(to: string | URL, options: Visit = {}): Promise<Answer> {
    const url = new URL(to)
    const unsafe = (options.method ?? 'GET') !== 'GET'
    return this.#exchange(
      url,
      {
        ...options,
        headers: {
          accept: 'application/json',
          'x-csrf': '1',
          'sec-fetch-site': 'same-origin',
          'sec-fetch-mode': 'cors',
          'sec-fetch-dest': 'empty',
          ...(unsafe && { origin: url.origin }),
          ...options.headers,
        },
      },
      true,
    )
  }

  /** Exactly these headers and the cookies, nothing a browser would add. */
  raw(to: string | URL, options: Visit = {}): Promise<Answer> {
    return this.#exchange(new URL(to), options, true)
  }

  #of(host: string): Map<string, JarCookie> {
    const jar = this.#jar.get(host) ?? new Map<string, JarCookie>()
    this.#jar.set(host, jar)
    return jar
  }

  async #exchange(url: URL, visit: Visit, withStrict: boolean): Promise<Answer> {
    const cookie = [...this.#of(url.hostname).values()]
      .filter(({ strict, path }) => (withStrict || !strict) && isUnder(url.pathname, path))
      .sort((a, b) => b.path.length - a.path.length)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
    const answer = await exchange(url, {
      ...visit,
      port: this.through.get(url.origin) ?? visit.port,
      headers: { ...(cookie !== '' && { cookie }), ...visit.headers },
    })
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) this.#store(url, line)
    this.seen.push({
      url: url.href,
      status: answer.status,
      headers: JSON.stringify({ ...answer.headers, 'set-cookie': undefined }),
      body: answer.body,
    })
    return answer
  }

  #store({ hostname, pathname }: URL, line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
    const name = pair.slice(0, pair.indexOf('='))
    const gone = attributes.some((a) => /^max-age=0$/i.test(a) || /^expires=thu, 01 jan 1970/i.test(a))
    const path = attributes.find((a) => /^path=\//i.test(a))?.slice(5) ?? pathname.slice(0, Math.max(1, pathname.lastIndexOf('/')))
    const strict = attributes.some((a) => /^samesite=strict$/i.test(a))
    if (gone) this.#of(hostname).delete(keyOf(name, path))
    else this.#of(hostname).set(keyOf(name, path), { name, value: pair.slice(pair.indexOf('=') + 1), strict, path })
  }
}

const keyOf = (name: string, path: string): string => `${name};${path}`
/** RFC 6265 §5.1.4. */
const isUnder = (pathname: string, path: string): boolean =>
  pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`)

const navigation = (site: string): Record<string, string> => ({
  accept: 'text/html,application/xhtml+xml',
  'sec-fetch-site': site,
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
  'sec-fetch-user': '?1',
})

/** Ports do not make a site; host names here have no subdomains. */
const sameSite = (a: URL, b: URL): boolean => a.hostname === b.hostname && a.protocol === b.protocol

export const exchange = (url: URL, visit: Visit = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = send(
      url,
      {
        method: visit.method ?? 'GET',
        headers: { host: url.host, ...visit.headers },
        agent: false,
        ...(visit.port !== undefined && { port: visit.port }),
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString('utf8'), url }),
        )
      },
    )
    request.on('error', reject)
    request.end(visit.body)
  })
