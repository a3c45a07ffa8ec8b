import { createHash, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'

/** A value that must not reach a log, span, error or body. A `Secret<'id-token'>` is not a `Secret<'refresh-token'>`. */
export class Secret<Kind extends string> {
  declare readonly kind: Kind
  readonly #value: string
  private constructor(value: string) {
    this.#value = value
  }
  static of<K extends string>(_kind: K, value: string): Secret<K> {
    return new Secret<K>(value)
  }

  /** Lint allows this call in a few files only (the list is in oxlint.config.ts); no wrapper of it anywhere. */
  reveal(): string {
    return this.#value
  }
  /** 128 bits of SHA-256, 22 base64url characters: correlates log lines and names sessions; for values with at least as much entropy. */
  fingerprint(): string {
    return digest(this.#value).subarray(0, 16).toString('base64url')
  }
  /** Constant time in the content; the digest hides the length as well. */
  equals(other: Secret<Kind>): boolean {
    return timingSafeEqual(digest(this.#value), digest(other.#value))
  }
  toString(): string {
    return '[secret]'
  }
  toJSON(): string {
    return '[secret]'
  }
  [inspect.custom](): string {
    return '[secret]'
  }
}

const digest = (value: string): Buffer => createHash('sha256').update(value).digest()
