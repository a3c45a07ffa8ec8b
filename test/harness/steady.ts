import { Agent, request as send } from 'node:http'

/** One who asks again and again over connections that stay open, as a page does; `Browser` takes a new one for each. */
export interface Steady {
  /** Status of the answer; its code where it is a problem. */
  get(path: string): Promise<number | string>
  close(): void
}

/** @param at where to connect; what is asked for is `url` all the same */
export const steady = (url: string, cookie: readonly [name: string, value: string] | undefined, at?: number): Steady => {
  const agent = new Agent({ keepAlive: true })
  const { host, port } = new URL(url)
  const headers = {
    host,
    accept: 'application/json',
    'x-csrf': '1',
    'sec-fetch-site': 'same-origin',
    ...(cookie && { cookie: cookie.join('=') }),
  }
  return {
    get: (path) =>
      new Promise((resolve, reject) => {
        const request = send({ host: '127.0.0.1', port: at ?? port, path, headers, agent }, (response) => {
          let body = ''
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
          response.once('error', reject)
          response.once('end', () => resolve(response.statusCode === 200 ? 200 : ((JSON.parse(body) as { code: string }).code ?? 0)))
        })
        request.once('error', reject)
        request.end()
      }),
    close: () => agent.destroy(),
  }
}
