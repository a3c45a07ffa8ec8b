import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Route } from '../../../src/domain/route.ts'
import { claims, routeFaults, routeTable } from '../../../src/policy/route-table.ts'

const route = (path: string, name = path): Route => ({ name, path }) as Route
const RESERVED = ['/bff', '/.well-known/sallyport']
const table = (...paths: string[]) =>
  routeTable(
    paths.map((path) => route(path)),
    RESERVED,
  )

describe('the longest path that ends at a segment wins', () => {
  const routes = table('/api', '/api/orders', '/api/orders/v2/items', '/files')
  it.each`
    path                           | matched                   | because
    ${'/api'}                      | ${'/api'}                 | ${'the path itself'}
    ${'/api/'}                     | ${'/api'}                 | ${'a slash continues it'}
    ${'/api/x'}                    | ${'/api'}                 | ${'below it'}
    ${'/api/orders'}               | ${'/api/orders'}          | ${'the longer one'}
    ${'/api/orders/7'}             | ${'/api/orders'}          | ${'below the longer one'}
    ${'/api/orders/v2'}            | ${'/api/orders'}          | ${'between two routes'}
    ${'/api/orders/v2/items/9/10'} | ${'/api/orders/v2/items'} | ${'the longest'}
    ${'/api/ordersx'}              | ${'/api'}                 | ${'no segment boundary'}
    ${'/api/orders@host'}          | ${'/api'}                 | ${'no segment boundary'}
    ${'/apix'}                     | ${undefined}              | ${'no segment boundary'}
    ${'/ap'}                       | ${undefined}              | ${'shorter than any'}
    ${'/'}                         | ${undefined}              | ${'no root route'}
    ${'/files/a/b/c/d/e/f/g/h'}    | ${'/files'}               | ${'deeper than any route'}
    ${'/api/Orders/7'}             | ${undefined}              | ${'an upstream that folds case would take it for /api/orders'}
    ${'/api/ORDERS/v2/items'}      | ${undefined}              | ${'the same, deeper'}
    ${'/API/orders'}               | ${undefined}              | ${'paths are compared byte by byte'}
    ${'/api/Other'}                | ${'/api'}                 | ${'case matters only where another route could be meant'}
  `('$path → $matched: $because', ({ path, matched }) => {
    expect(routes.match(path)?.path).toBe(matched)
  })

  it('matches everything with a root route, but for what is longer', () => {
    const rooted = table('', '/api')
    expect(rooted.match('/')?.path).toBe('')
    expect(rooted.match('/index.html')?.path).toBe('')
    expect(rooted.match('/apix/y')?.path).toBe('')
    expect(rooted.match('/api/y')?.path).toBe('/api')
    expect(table('').match('/a/b/c')?.path).toBe('')
  })

  it('agrees with a search through all routes', () => {
    const segment = fc.constantFrom('a', 'b', 'ab', 'c')
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => `/${segments.join('/')}`)
    fc.assert(
      fc.property(fc.uniqueArray(path, { minLength: 1, maxLength: 8 }), path, (paths, asked) => {
        const expected = paths.filter((one) => claims(one, asked)).sort((a, b) => b.length - a.length)[0]
        expect(table(...paths).match(asked)?.path).toBe(expected)
      }),
    )
  })
})

describe('a table that leaves a doubt is refused with its code', () => {
  const faults = (...paths: string[]) =>
    routeFaults(
      paths.map((path, index) => ({ name: `r${index}`, path })),
      RESERVED,
    ).map(({ code }) => code)
  it.each`
    paths                           | code
    ${['/api', '/api']}             | ${'route.path-duplicate'}
    ${['/api/x', '/api/X']}         | ${'route.path-duplicate'}
    ${['/bff']}                     | ${'route.path-reserved'}
    ${['/bff/user']}                | ${'route.path-reserved'}
    ${['/BFF/user']}                | ${'route.path-reserved'}
    ${['/.well-known/sallyport/x']} | ${'route.path-reserved'}
    ${['api']}                      | ${'route.path-not-canonical'}
    ${['/']}                        | ${'route.path-not-canonical'}
    ${['/api/']}                    | ${'route.path-not-canonical'}
    ${['/api//x']}                  | ${'route.path-not-canonical'}
    ${['/api/../x']}                | ${'route.path-not-canonical'}
    ${['/api/.']}                   | ${'route.path-not-canonical'}
    ${['/caf%C3%A9']}               | ${'route.path-not-canonical'}
    ${['/café']}                    | ${'route.path-not-canonical'}
    ${['/a:b']}                     | ${'route.path-not-canonical'}
    ${['/a*']}                      | ${'route.path-not-canonical'}
    ${['/:id']}                     | ${'route.path-not-canonical'}
    ${['/a;b']}                     | ${'route.path-not-canonical'}
    ${['/a?b']}                     | ${'route.path-not-canonical'}
  `('$paths: $code', ({ paths, code }) => {
    expect(faults(...paths)).toEqual([code])
    expect(() => table(...paths)).toThrow(code)
  })
  it('names both routes of a duplicate', () => {
    expect(routeFaults([route('/a', 'x'), route('/b', 'x')], [])).toEqual([{ code: 'route.name-duplicate', index: 1, name: 'x', other: 0 }])
    expect(routeFaults([route('/a', 'x'), route('/a', 'y')], [])).toEqual([
      { code: 'route.path-duplicate', index: 1, path: '/a', other: 0 },
    ])
  })
  it('lets routes lie inside each other and around what is reserved', () => {
    expect(faults('', '/api', '/api/orders', '/bffx', '/.well-known', '/.well-known/sallyportx')).toEqual([])
  })
})
