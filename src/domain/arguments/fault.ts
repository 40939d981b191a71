/** Where in a schema something is, from its root. */
export type Place = readonly string[];

/** A JSON Schema that arguments cannot be held against, and where it goes wrong. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}
