import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { frontendOf } from '../../src/assembly/frontend.ts'
import { type EdgeHost, edgeHost, fetching, navigation, signedIn } from '../harness/edge-host.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-files-'))
const put = (path: string, content: string | Buffer): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), content)
}
const SHELL = '<!doctype html><title>shell</title>'
const SCRIPT = `let text = '${'a'.repeat(500)}'`
put('www/index.html', SHELL)
put('www/main.js', SCRIPT)
put('www/main.js.br', brotliCompressSync(SCRIPT))
put('www/main.js.gz', gzipSync(SCRIPT))
put('www/main.js.map', 'SOURCES')
put('www/main.js.map.br', 'SOURCES')
put('www/style.css', 'body{}')
put('www/style.css.gz', gzipSync('body{}'))
put('www/lonely.js.br', brotliCompressSync('let lonely'))
put('www/photo.png', 'PNG')
put('www/photo.png.br', 'never looked for')
put('www/assets/index-DZ1xQv3k.js', 'let hashed')
put('www/docs/index.html', 'the documentation')
put('www/.env', 'SECRET')
put('www/.git/config', 'SECRET')
put('www/.well-known/security.txt', 'Contact: us')
put('www/.well-known/.hidden', 'SECRET')
put('www/empty/x/.keep', '')
put('outside/secret.txt', 'SECRET')
put('wwwx/secret.txt', 'SECRET')
symlinkSync('../outside/secret.txt', join(folder, 'www/leak.txt'))
symlinkSync('../outside', join(folder, 'www/leak'))
symlinkSync('../wwwx/secret.txt', join(folder, 'www/sibling.txt'))
symlinkSync('main.js', join(folder, 'www/alias.js'))
symlinkSync('../outside/secret.txt', join(folder, 'www/style.css.br'))
symlinkSync('loop.js', join(folder, 'www/loop.js'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const www = join(folder, 'www')

/** As a browser takes it: decompressed as the answer says. */
const loaded = (host: EdgeHost, path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${host.origin}${path}`, { headers })

describe('the frontend’s files', () => {
  let host: EdgeHost
  beforeAll(async () => {
    host = await edgeHost({ frontend: { kind: 'dir', dir: www } })
  })
  afterAll(() => host.close())
  beforeEach(() => {
    host.logged.length = 0
  })

  it.each([
    ['br, gzip', 'br'],
    ['gzip', 'gzip'],
    ['br;q=0.1, gzip', 'gzip'],
    ['identity', undefined],
  ])('Accept-Encoding %s is answered with %s, its own type and tag, and says that it varies', async (accept, encoding) => {
    const got = await host.ask('/main.js', { headers: { 'accept-encoding': accept } })
    expect(got.status).toBe(200)
    expect(got.headers['content-encoding']).toBe(encoding)
    expect(got.headers['content-type']).toBe('text/javascript; charset=utf-8')
    expect(got.headers.vary).toBe('accept-encoding')
    const file = readFileSync(join(www, `main.js${encoding === undefined ? '' : encoding === 'br' ? '.br' : '.gz'}`))
    expect(got.headers['content-length']).toBe(String(file.length))
    expect(await (await loaded(host, '/main.js', { 'accept-encoding': accept })).text()).toBe(SCRIPT)
  })

  it('each encoding has a tag of its own, that brings a 304 without its type', async () => {
    const tags = new Set<string>()
    for (const encoding of ['br', 'gzip', 'identity']) {
      const tag = (await host.ask('/main.js', { headers: { 'accept-encoding': encoding } })).headers.etag ?? ''
      tags.add(tag)
      const again = await host.ask('/main.js', { headers: { 'accept-encoding': encoding, 'if-none-match': tag } })
      expect([again.status, again.body, again.headers['content-encoding'], again.headers['cache-control'], again.headers.vary]).toEqual([
        304,
        '',
        undefined,
        'no-cache',
        'accept-encoding',
      ])
    }
    expect(tags.size).toBe(3)
  })

  it('a HEAD says what a GET would', async () => {
    const ask = { headers: { 'accept-encoding': 'br' } }
    const [head, get] = [await host.ask('/main.js', { ...ask, method: 'HEAD' }), await host.ask('/main.js', ask)]
    expect(head.body).toBe('')
    for (const name of ['content-length', 'content-type', 'content-encoding', 'etag', 'vary', 'cache-control'])
      expect(head.headers[name], name).toBe(get.headers[name])
  })

  it('a range is of what is sent: of the compressed bytes where those are', async () => {
    for (const [encoding, file] of [
      ['br', 'main.js.br'],
      ['identity', 'main.js'],
    ] as const) {
      const got = await host.ask('/main.js', { headers: { 'accept-encoding': encoding, range: 'bytes=1-4' } })
      expect([got.status, got.headers['content-range'], got.headers['content-length']]).toEqual([
        206,
        `bytes 1-4/${readFileSync(join(www, file)).length}`,
        '4',
      ])
    }
  })

  it.each([
    [{ range: 'bytes=99999-' }, 416, 'request.range-unsatisfiable'],
    [{ 'if-match': '"another"' }, 412, 'request.precondition-failed'],
  ])('a problem about a compressed file is not said to be compressed: %j', async (headers, status, code) => {
    const got = await host.ask('/main.js', { headers: { 'accept-encoding': 'br', ...headers } as Record<string, string> })
    expect([got.status, got.headers['content-encoding'], got.headers['content-type']]).toEqual([
      status,
      undefined,
      'application/problem+json; charset=utf-8',
    ])
    expect(JSON.parse(got.body)).toMatchObject({ status, code })
  })

  it('pictures are sent as they are, a link within the folder is a file, and a folder is its index', async () => {
    const photo = await loaded(host, '/photo.png', { 'accept-encoding': 'br' })
    expect([photo.headers.get('content-type'), photo.headers.get('vary'), await photo.text()]).toEqual(['image/png', null, 'PNG'])
    const alias = await host.ask('/alias.js')
    expect([alias.status, alias.headers['content-type'], alias.body]).toEqual([200, 'text/javascript; charset=utf-8', SCRIPT])
    for (const path of ['/docs', '/docs/']) expect((await host.ask(path)).body).toBe('the documentation')
    expect((await host.ask('/.well-known/security.txt')).body).toBe('Contact: us')
  })

  it.each([
    '/.env',
    '/.git/config',
    '/.well-known/.hidden',
    '/main.js.map',
    '/main.js.map.br',
    '/MAIN.JS.MAP',
    '/leak.txt',
    '/leak/secret.txt',
    '/sibling.txt',
    '/loop.js',
    '/lonely.js',
    '/empty',
    '/empty/x/',
    '/main.js/',
    '/index.html/x.js',
    '/../outside/secret.txt',
    '/%2e%2e/outside/secret.txt',
    '/..%2foutside%2fsecret.txt',
    '/..%5coutside%5csecret.txt',
    '/docs/../../outside/secret.txt',
    '/%252e%252e/outside/secret.txt',
    '/..;/outside/secret.txt',
    '/main.js%00.png',
    `/${'a'.repeat(300)}.js`,
  ])('%s is not there, and nobody is woken', async (path) => {
    const got = await host.ask(path, { headers: { ...fetching, 'accept-encoding': 'br' } })
    expect([400, 404]).toContain(got.status)
    expect(got.body).not.toMatch(/SECRET|SOURCES|ENOENT|ELOOP|sallyport-files/)
    expect(host.logged.filter(({ message }) => message === 'request failed')).toEqual([])
  })

  it('a compressed sibling that leads out of the folder is passed over', async () => {
    const got = await loaded(host, '/style.css', { 'accept-encoding': 'br, gzip' })
    expect([got.headers.get('content-encoding'), await got.text()]).toEqual(['gzip', 'body{}'])
  })

  it.each([
    ['/orders/7', navigation(), 200],
    ['/users/john.doe', navigation('cross-site'), 200],
    ['/orders/7', { accept: 'text/html' }, 200],
    ['/orders/7', fetching, 404],
    ['/orders/7', {}, 404],
    ['/assets/gone-DZ1xQv3k.js', navigation(), 404],
    ['/assets/gone-DZ1xQv3k.js', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' }, 404],
    ['/main.js.map', navigation(), 404],
    ['/logo.png', { accept: 'text/html' }, 404],
  ])('only who navigates to an address that is no file gets the shell: %s with %j: %i', async (path, headers, status) => {
    const got = await host.ask(path, { headers: headers as Record<string, string> })
    expect([got.status, got.body.includes('<title>shell')]).toEqual([status, status === 200])
    expect(got.headers['cache-control']).toBe('no-store') // a script that is missing during a roll-out must not stay missing
  })

  it('a page is kept by nobody and framed by nobody; what is no page says only what it needs', async () => {
    const page = await host.ask('/', { headers: navigation() })
    expect(page.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': expect.stringMatching(/^default-src 'self'; .*frame-ancestors 'none'$/),
      'cross-origin-opener-policy': 'same-origin-allow-popups',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'strict-origin-when-cross-origin',
      'x-content-type-options': 'nosniff',
    })
    const asset = await host.ask('/assets/index-DZ1xQv3k.js')
    expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    expect(asset.headers['content-security-policy']).toBeUndefined()
  })
})

describe('as the operator says', () => {
  it('another policy, other paths that never change, and source maps', async () => {
    const host = await edgeHost({
      frontend: {
        kind: 'dir',
        dir: www,
        csp: "default-src 'self' https://x.example",
        immutable: ['/docs', '/style.css', '/assets'],
        sourceMaps: true,
      },
    })
    const page = await host.ask('/', { headers: navigation() })
    expect(page.headers['content-security-policy']).toBe("default-src 'self' https://x.example; frame-ancestors 'none'")
    expect((await host.ask('/docs/')).headers['cache-control']).toBe('no-store')
    expect((await host.ask('/style.css')).headers['cache-control']).toBe('no-cache')
    expect((await host.ask('/assets/index-DZ1xQv3k.js')).headers['cache-control']).toContain('immutable')
    expect((await host.ask('/main.js.map')).body).toBe('SOURCES')
    await host.close()
  })

  it('with csp: off the pages are still framed by nobody', async () => {
    const host = await edgeHost({ frontend: { kind: 'dir', dir: www, csp: 'off' } })
    expect((await host.ask('/', { headers: navigation() })).headers['content-security-policy']).toBe("frame-ancestors 'none'")
    await host.close()
  })

  it('behind the gate a hashed name is kept by nobody either, compressed or not', async () => {
    const host = await edgeHost({ frontend: { kind: 'dir', dir: www }, requireSignIn: ['/'] })
    const cookie = await signedIn(host)
    for (const path of ['/', '/main.js', '/assets/index-DZ1xQv3k.js', '/orders/7'])
      expect((await host.ask(path, { headers: { ...navigation(), cookie, 'accept-encoding': 'br' } })).headers['cache-control']).toBe(
        'no-store',
      )
    await host.close()
  })
})

describe('the folder', () => {
  // As kubelet writes a ConfigMap: real files in a dated folder, `..data` links to it and is replaced by a rename, the files are links through it.
  it('is swapped while it is served, and nothing is missing in between', async () => {
    const mount = join(folder, 'mount')
    const release = (name: string, text: string): void => {
      put(`mount/..${name}/index.html`, text)
      put(`mount/..${name}/app.js`, text)
      symlinkSync(`..${name}`, join(mount, '..data_tmp'))
      renameSync(join(mount, '..data_tmp'), join(mount, '..data'))
    }
    release('one', 'first')
    for (const name of ['index.html', 'app.js']) symlinkSync(`..data/${name}`, join(mount, name))
    const host = await edgeHost({
      frontend: await frontendOf({
        frontend: { kind: 'dir', dir: mount, requireSignIn: [], csp: 'default', immutable: 'auto', sourceMaps: false },
      }),
    })
    const both = async (): Promise<string[]> => [(await host.ask('/', { headers: navigation() })).body, (await host.ask('/app.js')).body]
    expect(await both()).toEqual(['first', 'first'])
    release('two', 'second')
    rmSync(join(mount, '..one'), { recursive: true })
    expect(await both()).toEqual(['second', 'second'])
    expect((await host.ask('/..data/app.js')).status).toBe(404)
    await host.close()
  })

  it('may be a link itself, that leads to another release from one request to the next', async () => {
    put('releases/1/index.html', 'first')
    put('releases/2/index.html', 'second')
    const current = join(folder, 'current')
    symlinkSync('releases/1', current)
    const host = await edgeHost({ frontend: { kind: 'dir', dir: current } })
    expect((await host.ask('/')).body).toBe('first')
    symlinkSync('releases/2', `${current}.new`)
    renameSync(`${current}.new`, current)
    expect((await host.ask('/')).body).toBe('second')
    rmSync(current)
    // Gone altogether: that wakes somebody.
    expect((await host.ask('/')).status).toBe(500)
    expect(host.warned).toContain('request failed')
    await host.close()
  })

  const settings = (dir: string) =>
    ({ frontend: { kind: 'dir', dir, requireSignIn: [], csp: 'default', immutable: 'auto', sourceMaps: false } }) as const
  it.each([
    ['is not there', 'nowhere', /frontend\.dir is not a folder/],
    ['is a file', 'www/main.js', /frontend\.dir is not a folder/],
    ['has no index.html', 'wwwx', /frontend\.dir has no index\.html/],
    ['has an index.html that leads elsewhere', 'linked', /links that lead out of the folder/],
  ])('that %s refuses the start', async (_what, name, said) => {
    mkdirSync(join(folder, 'linked'), { recursive: true })
    rmSync(join(folder, 'linked/index.html'), { force: true })
    symlinkSync('../www/index.html', join(folder, 'linked/index.html'))
    await expect(frontendOf(settings(join(folder, name)))).rejects.toThrow(said)
  })
})
