import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { ACCEPTED } from '../../scripts/advisories.ts'

const file = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const lock = JSON.parse(file('package-lock.json')) as {
  readonly packages: Readonly<Record<string, { readonly version: string } | undefined>>
}
const versionOf = (name: string): string => lock.packages[`node_modules/${name}`]?.version ?? 'absent'
const isBefore = (version: string, other: string): boolean => version.localeCompare(other, 'en', { numeric: true }) < 0

interface Advisory {
  readonly title: string
  readonly vulnerable_versions: string
}
/** What the gate says and exits with where a registry tells of these; undefined: it takes no such question. */
const ask = async (told: Readonly<Record<string, readonly Advisory[]>> | undefined) => {
  const registry = createServer((request, reply) => {
    request.resume()
    if (request.method !== 'POST' || told === undefined) return void reply.writeHead(request.method === 'POST' ? 405 : 404).end('{}')
    const advisories = Object.entries(told).map(([name, all]) => [
      name,
      all.map((one, id) => ({
        id,
        url: `https://advisories.example/${name}/${id}`,
        severity: 'high',
        cwe: [],
        cvss: { score: 0 },
        ...one,
      })),
    ])
    reply.setHeader('content-type', 'application/json').end(JSON.stringify(Object.fromEntries(advisories)))
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => registry.once('listening', resolve))
  const { port } = registry.address() as AddressInfo
  const args = ['scripts/advisories.ts', '--registry', `http://127.0.0.1:${port}/`]
  try {
    return await new Promise<{ readonly code: number; readonly said: string }>((resolve) => {
      execFile(process.execPath, args, { cwd: new URL('../..', import.meta.url) }, (error, stdout) =>
        resolve({ code: error ? Number(error.code) : 0, said: stdout }),
      )
    })
  } finally {
    registry.close()
  }
}

it('an advisory about what production runs with is red until somebody has judged it', async () => {
  const fresh = await ask({ undici: [{ title: 'published this morning', vulnerable_versions: '<99.0.0' }] })
  expect(fresh.code).toBe(1)
  expect(fresh.said).toContain('high: undici <99.0.0: published this morning (https://advisories.example/undici/0)')

  const judged = await ask({
    '@fastify/reply-from': [
      { title: 'known', vulnerable_versions: '<12.8.1' },
      { title: 'known, too', vulnerable_versions: '>=9.0.0 <12.7.0' },
    ],
  })
  expect(judged.said).toBe('0 advisories to judge, 2 judged before (scripts/advisories.ts)\n')
  expect(judged.code).toBe(0)

  const another = await ask({ '@fastify/reply-from': [{ title: 'a later one', vulnerable_versions: '<12.9.0' }] })
  expect(another.code).toBe(1)
})

it('a registry that tells nothing of advisories is red as well', async () => {
  const { code, said } = await ask(undefined)
  expect(said).toMatch(/nothing is known, so this is red/)
  expect(code).toBe(1)
})

it('what was judged is about a version that runs here, and its test is there', () => {
  for (const { package: name, fixedIn, because, shownBy } of ACCEPTED) {
    expect(isBefore(versionOf(name), fixedIn), `${name} ${fixedIn}: take the entry out`).toBe(true)
    expect(because).not.toBe('')
    expect(file(shownBy.file)).toContain(`'${shownBy.title}'`)
  }
})

it.each([
  ['fastify', '5.12.2', 'X-Forwarded-* of untrusted peers; body checks passed by'],
  ['@fastify/http-proxy', '11.6.2', 'prefixes escaped; headers removed by Connection'],
  ['@fastify/reply-from', '12.6.2', 'headers removed by Connection'],
  ['find-my-way', '9.7.0', 'patterns without end'],
  ['undici', '7.24.0', 'requests smuggled; compressed bombs'],
  ['jose', '4.15.5', 'compressed and iterated without bound'],
  ['cookie', '0.7.0', 'characters outside of names'],
  ['ws', '8.17.1', 'headers without number'],
])('%s is not older than %s: %s', (name, least) => {
  expect(isBefore(versionOf(name), least)).toBe(false)
})
