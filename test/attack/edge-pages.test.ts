import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { brandedPages } from '../../src/edge/pages/layout.ts'
import { compileTemplate } from '../../src/edge/pages/template.ts'
import { type EdgeHost, edgeHost, navigation } from '../harness/edge-host.ts'

const TEMPLATE = `<!doctype html><html lang="en"><title>{{title}}</title><style>b{}</style>{{style}}{{logo}}{{name}}
<h1>{{title}}</h1>{{text}}{{actions}}{{support}}<i>{{request_id}}</i></html>`

describe('a page that an operator has dressed', () => {
  let host: EdgeHost
  beforeAll(async () => {
    const template = compileTemplate(TEMPLATE)
    if (template.kind === 'refused') throw new Error(template.reason)
    const support = { text: 'Help', url: '/help' }
    const pages = brandedPages({ name: 'Shop', logo: 'data:image/png;base64,AA', support, template })
    // Behind an ingress that may choose the request id.
    host = await edgeHost({ pages, trustedProxies: ['127.0.0.0/8'] })
  })
  afterAll(() => host.close())

  it.each([
    '/nothing?x=<script>alert(1)</script>',
    '/nothing?x="onmouseover="alert(1)',
    '/nothing/{{actions}}',
    '/nothing?{{style}}{{logo}}',
    "/nothing?'><img src=x onerror=alert(1)>",
    '/bff/login?return_to=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&x=1&x=2',
    '/bff/logout/continue?ref=%3Cscript%3E',
    '/bff/logout/callback?state=<script>',
  ])('holds nothing of the request but where its links lead: %s', async (path) => {
    const got = await host.ask(path.replaceAll(' ', '%20'), {
      headers: {
        ...navigation(),
        'x-request-id': '<b>"{{text}}',
        'x-forwarded-for': '203.0.113.7',
        'user-agent': '<script>ua</script>',
        cookie: 'a=<script>cookie</script>',
      },
    })
    expect(got.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(got.body).not.toMatch(/<script|<b>|onmouseover="|onerror=alert\(1\)>|error_description|cookie<|ua</)
    // One style of the template's, one of ours, one image: placeholders in values stay text.
    expect([got.body.match(/<style/g)?.length, got.body.match(/<img/g)?.length, got.body.match(/<h1/g)?.length]).toEqual([2, 1, 1])
    expect(got.body).toMatch(/<i>[0-9a-f]{32}<\/i>/)
    for (const [, href = ''] of got.body.matchAll(/href="([^"]*)"/g)) expect(href).toMatch(/^\/(?![/\\])/)
    expect(got.headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+' 'sha256-[^']+'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/,
    )
    expect(got.headers['cache-control']).toBe('no-store')
  })

  it('nor does a page that only leads on', async () => {
    const got = await host.ask('/bff/callback?state=<script>&error=<b>&error_description=<script>alert(1)</script>', {
      headers: navigation(),
    })
    expect([got.status, got.headers['refresh']]).toEqual([200, expect.stringMatching(/^0;url=\/bff\/login\/resume\?return_to=%2F/)])
    expect(got.body).not.toMatch(/<script|<b>|alert|error/)
  })

  it.each([
    ['signed out', '/bff/logout/callback', 200, 'You are signed out.', []],
    ['a link used twice', '/bff/logout/continue?ref=x', 400, 'This sign-out link was used or has expired.', ['logout.reference-unknown']],
    ['nothing there', '/nothing', 404, 'There is nothing here.', ['endpoint.unknown']],
  ])('%s wears it', async (_what, path, status, title, codes) => {
    const before = host.problems().length
    const got = await host.ask(path, { headers: navigation() })
    expect([got.status, got.body.includes(`<h1>${title}</h1>`), got.body.includes('Shop')]).toEqual([status, true, true])
    expect(host.problems().slice(before)).toEqual(codes)
  })

  it('an outage says so, and offers to try again', async () => {
    host.broken.provider = true
    const got = await host.ask('/bff/login?return_to=/orders', { headers: navigation() })
    expect([got.status, got.headers['retry-after']]).toEqual([503, '7'])
    expect(got.body).toContain('<a href="/bff/login?return_to=%2Forders">Try again</a>')
  })
})
