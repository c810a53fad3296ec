//! The tables of ClickHouse.

/// The tables. Inserting the same rows again changes nothing.
pub(super) const TABLES: [&str; 6] = [
    // One row per receipt of a body. Merging combines the rows of a key; queries never rely on that.
    "CREATE TABLE IF NOT EXISTS arrivals(
        id FixedString(16),
        hash UInt64,
        received Int64 CODEC(Delta, LZ4),
        machine FixedString(16),
        suspect UInt8,
        kind UInt8,
        launch UInt8,
        system UInt8,
        reached UInt8,
        schema UInt8,
        calls UInt32,
        own Int64,
        version LowCardinality(String),
        clients Array(LowCardinality(String)),
        unknown Array(LowCardinality(String)),
        generation UInt16
    ) ENGINE = ReplacingMergeTree(generation) ORDER BY (id, hash, received)
    SETTINGS old_parts_lifetime = 30, index_granularity = 1024",
    "CREATE TABLE IF NOT EXISTS opt_outs(id FixedString(16), received SimpleAggregateFunction(min, Int64))
    ENGINE = AggregatingMergeTree ORDER BY id SETTINGS old_parts_lifetime = 30",
    "CREATE TABLE IF NOT EXISTS counted(day UInt16, name LowCardinality(String), entry UInt64, count UInt64)
    ENGINE = ReplacingMergeTree ORDER BY (day, name, entry)",
    // The latest summary of each installation, packed.
    "CREATE TABLE IF NOT EXISTS summaries(of_machine UInt8, whose FixedString(16), at UInt64, summary String)
    ENGINE = ReplacingMergeTree(at) ORDER BY (of_machine, whose) SETTINGS old_parts_lifetime = 30",
    // The installations whose summaries are out of date.
    "CREATE TABLE IF NOT EXISTS changed(batch UInt64, of_machine UInt8, whose FixedString(16))
    ENGINE = MergeTree ORDER BY batch SETTINGS old_parts_lifetime = 30",
    "CREATE TABLE IF NOT EXISTS positions(collector String, segment UInt64, offset UInt64, at UInt64)
    ENGINE = ReplacingMergeTree(at) ORDER BY collector",
];

/// The value for "no machine".
pub(super) const NO_MACHINE: &str = "toFixedString('', 16)";

/// The columns of [`super::rows::Arrival`], in order.
pub(super) const ARRIVAL: &str =
    "id, hash, received, machine, suspect, kind, launch, system, reached, schema, calls, own,
    toString(version) AS version, arrayMap(client -> toString(client), clients) AS clients,
    arrayMap(path -> toString(path), unknown) AS unknown, generation";
