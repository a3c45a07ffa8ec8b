import { request } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ORDERS, startDemoApis } from '../../../src/dev/apis.ts'
import { type DemoControls, startDemoControls } from '../../../src/dev/controls.ts'
import { type DevProvider, startDevProvider } from '../../../src/dev/provider.ts'

let provider: DevProvider
let controls: DemoControls
let stopApis: () => Promise<unknown>

beforeAll(async () => {
  provider = await startDevProvider({
    port: 0,
    clientId: 'demo',
    clientSecret: 's',
    redirectUri: 'http://localhost:1/bff/callback',
    postLogoutRedirectUri: 'http://localhost:1/',
    resources: { [ORDERS]: ['orders.read'] },
    accessTokenSeconds: 7,
  })
  const apis = await startDemoApis({ issuer: provider.issuer, clientId: 'demo' })
  stopApis = () => Promise.all(Object.values(apis).map((api: { stop(): Promise<void> }) => api.stop()))
  controls = await startDemoControls({ apis, provider, accessTokenSeconds: 7 })
})
afterAll(async () => {
  await Promise.all([controls.stop(), provider.stop(), stopApis()])
})

const ask = (
  path: string,
  options: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request(`${controls.url}${path}`, options, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    sent.once('error', reject).end()
  })
const isUp = (): Promise<boolean> =>
  fetch(`${provider.issuer}/.well-known/openid-configuration`).then(
    (answer) => answer.ok,
    () => false,
  )

it.each`
  path                         | method    | headers                     | status | because
  ${'/audit'}                  | ${'GET'}  | ${{}}                       | ${200} | ${'a look changes nothing'}
  ${'/controls'}               | ${'GET'}  | ${{}}                       | ${200} | ${'a look changes nothing'}
  ${'/controls'}               | ${'GET'}  | ${{ host: 'evil.example' }} | ${421} | ${'a page elsewhere made its own name point here'}
  ${'/controls/provider/away'} | ${'POST'} | ${{}}                       | ${403} | ${'a form of another site cannot send the header'}
  ${'/controls/provider/away'} | ${'GET'}  | ${{ 'x-demo': '1' }}        | ${404} | ${'an image of another site can only GET'}
  ${'/controls/constructor'}   | ${'POST'} | ${{ 'x-demo': '1' }}        | ${404} | ${'there is no such switch'}
`('$method $path is answered $status: $because', async ({ path, method, headers, status }) => {
  expect(await ask(path as string, { method: method as string, headers: headers as Record<string, string> })).toBe(status)
  expect(await isUp()).toBe(true)
})

it('takes the provider away and back on its port, however impatiently it is asked to', async () => {
  const flip = (to: 'away' | 'back'): Promise<number> => ask(`/controls/provider/${to}`, { method: 'POST', headers: { 'x-demo': '1' } })
  expect(await flip('away')).toBe(200)
  expect(await isUp()).toBe(false)
  expect(await flip('back')).toBe(200)
  expect(await isUp()).toBe(true)
  // The last word counts, also while the port is still being opened for the one before.
  await Promise.all([provider.away(), provider.back(), provider.back(), provider.away()])
  expect(await isUp()).toBe(false)
  await provider.back()
  expect(await isUp()).toBe(true)
})
