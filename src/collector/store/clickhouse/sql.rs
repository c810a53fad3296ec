//! The tables of ClickHouse and the query that summarises installations.

/// The tables. Inserting the same rows again changes nothing.
pub(super) const TABLES: [&str; 4] = [
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
    SETTINGS old_parts_lifetime = 30",
    "CREATE TABLE IF NOT EXISTS opt_outs(id FixedString(16), received SimpleAggregateFunction(min, Int64))
    ENGINE = AggregatingMergeTree ORDER BY id SETTINGS old_parts_lifetime = 30",
    "CREATE TABLE IF NOT EXISTS counted(day UInt16, name LowCardinality(String), entry UInt64, count UInt64)
    ENGINE = ReplacingMergeTree ORDER BY (day, name, entry)",
    "CREATE TABLE IF NOT EXISTS positions(collector String, segment UInt64, offset UInt64, at UInt64)
    ENGINE = ReplacingMergeTree(at) ORDER BY collector",
];

/// The value for "no machine".
pub(super) const NO_MACHINE: &str = "toFixedString('', 16)";

/// Bodies with the receipts that count: `firsts` contains the first receipt of each chain of repeats.
const BODIES: &str = "SELECT id, hash,
            any(machine) AS machine, argMin(suspect, received) AS suspect, any(kind) AS kind, any(launch) AS launch,
            any(system) AS system, groupBitOr(reached) AS reached, any(schema) AS schema, any(calls) AS calls, any(own) AS own,
            any(version) AS version, arraySort(groupUniqArrayArray(clients)) AS clients, any(unknown) AS unknown,
            arraySort(groupUniqArray(received)) AS receipts,
            arrayFilter((at, nth) -> nth = 1
                OR intDiv(at, 86400000) - intDiv(receipts[nth - 1], 86400000) > 1, receipts, arrayEnumerate(receipts)) AS firsts,
            length(receipts) - length(firsts) AS repeats
        FROM arrivals GROUP BY id, hash";

/// One row per installation: its days with the last body of each, and everything that adds up.
pub(super) fn installations(until_ms: i64) -> String {
    format!(
        "WITH
        bodies AS ({BODIES}),
        homes AS (
            SELECT id, argMin(machine, (received, hash)) AS home FROM arrivals WHERE machine != {NO_MACHINE} GROUP BY id
        ),
        days AS (
            SELECT
                if(machine != {NO_MACHINE}, machine, if(home != {NO_MACHINE}, home, id)) AS whose,
                machine != {NO_MACHINE} OR home != {NO_MACHINE} AS of_machine,
                toUInt16(intDiv(first, 86400000)) AS day,
                argMax((kind, launch, calls), (first, hash)) AS last,
                argMax((system, version), (first, hash)) AS newest,
                max((first, hash)) AS newest_order,
                argMin(suspect, (first, hash)) AS oldest_suspect,
                min((first, hash)) AS oldest_order,
                groupBitOr(reached) AS reached,
                groupUniqArrayArray(clients) AS clients,
                groupArrayArray(unknown) AS unknown,
                min(schema) AS lowest,
                max(schema) AS highest,
                count() AS bodies,
                sum(if(nth = 1, repeats, 0)) AS repeats,
                countIf(own != intDiv(first, 1000)) AS skewed,
                countIf(own = toInt64('-9223372036854775808') OR abs(own - intDiv(first, 1000)) > 86400) AS badly
            FROM bodies ARRAY JOIN firsts AS first, arrayEnumerate(firsts) AS nth
            LEFT JOIN homes ON bodies.id = homes.id
            WHERE first < {until_ms}
            GROUP BY whose, of_machine, day
        )
        SELECT
            arraySort(groupArray((day, last.1, last.2))) AS active,
            argMax(newest.1, newest_order) AS system,
            toString(argMax(newest.2, newest_order)) AS version,
            argMin(oldest_suspect, oldest_order) AS suspect,
            groupBitOr(reached) AS reached,
            arrayMap(client -> toString(client), arraySort(groupUniqArrayArray(clients))) AS clients,
            arrayMap(path -> toString(path), groupArrayArray(unknown)) AS unknown,
            min(lowest) AS lowest, max(highest) AS highest,
            toUInt64(sum(bodies)) AS bodies, toUInt64(sum(repeats)) AS repeats,
            toUInt64(sum(skewed)) AS skewed, toUInt64(sum(badly)) AS badly,
            toUInt64(sum(last.3)) AS calls
        FROM days GROUP BY whose, of_machine"
    )
}

/// The columns of [`super::Arrival`], in order.
pub(super) const ARRIVAL: &str =
    "id, hash, received, machine, suspect, kind, launch, system, reached, schema, calls, own,
    toString(version) AS version, arrayMap(client -> toString(client), clients) AS clients,
    arrayMap(path -> toString(path), unknown) AS unknown, generation";
