/** The headers of one request, in the order they came. Names are lower-case. */
export class HeaderList {
  readonly #names: string[];
  readonly #values: string[];

  constructor(names: string[], values: string[]) {
    this.#names = names;
    this.#values = values;
  }

  get count(): number {
    return this.#names.length;
  }

  /** The value under a lower-case name; several of one name are joined by a comma, as RFC 9110 section 5.3 allows. */
  get(name: string): string | null {
    const at = this.#names.indexOf(name);
    if (at === -1) return null;
    const value = this.#values[at] ?? "";
    return this.#names.indexOf(name, at + 1) === -1 ? value : this.#joined(name);
  }

  #joined(name: string): string {
    return this.#values.filter((_, i) => this.#names[i] === name).join(", ");
  }
}

export const noHeaders = new HeaderList([], []);
