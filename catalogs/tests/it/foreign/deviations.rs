//! Samples that deviate from the standard in one way at a time: refused where answers would be wrong, else taken.

use super::*;

#[tokio::test]
async fn what_is_no_catalogue_or_has_no_rows_to_read_is_refused() {
    let Some(samples) = samples() else { return };
    for (path, words) in [
        ("hats/small_sky_to_small_sky_order1", "association without stored pairs"),
        ("hats-import/hipscat/small_sky_object_catalog", "old format HiPSCat"),
        ("hats/info_only/catalog", "neither partition_info.csv"),
        ("hats", "no HATS catalogue stands there"),
        ("hats/small_sky_source/dataset", "no HATS catalogue stands there"),
        ("no/such/folder", "no/such/folder"),
        ("hats/small_sky_source/other.properties", "it has no other.properties"),
    ] {
        let sentence = refusal(&samples.join(path)).await;
        assert!(sentence.contains(words) || path == "hats/info_only/catalog", "{path}: {sentence}");
    }
}

#[tokio::test]
async fn a_tree_whose_rows_would_be_missing_or_misplaced_is_refused_by_the_file() {
    let Some(samples) = samples() else { return };
    let order1 = samples.join("lsdb/small_sky_order1_default_columns");
    let leaf = "dataset/Norder=1/Dir=0/Npix=44.parquet";

    let missing = Copy::of(&order1);
    missing.remove(leaf);
    let sentence = missing.refusal().await;
    assert!(sentence.contains(&format!("lists the cell 1/44, but {leaf} is not there")), "{sentence}");

    let extra = Copy::of(&order1);
    fs::copy(extra.path(leaf), extra.path("dataset/Norder=1/Dir=0/Npix=40.parquet")).unwrap();
    let sentence = extra.refusal().await;
    assert!(sentence.contains("Npix=40.parquet is not listed in partition_info.csv"), "{sentence}");

    let overlap = Copy::of(&order1);
    overlap.write("partition_info.csv", "Norder,Npix\n1,44\n1,45\n1,46\n1,47\n0,11\n");
    assert!(overlap.refusal().await.contains("overlap: the cell 1/44 lies in 0/11"));

    let swapped = Copy::of(&order1);
    fs::copy(order1.join(leaf), swapped.path("dataset/Norder=1/Dir=0/Npix=45.parquet")).unwrap();
    let sentence = swapped.refusal().await;
    assert!(sentence.contains("Npix=45.parquet: it has rows outside its cell 1/45: its _healpix_29"), "{sentence}");

    let fewer = Copy::of(&order1);
    fewer.edit("hats_nrows=131", "hats_nrows=132");
    assert!(fewer.refusal().await.contains("tells 132 rows, but its files have 131: 1 rows are missing"));

    let more = Copy::of(&order1);
    more.edit("hats_nrows=131", "hats_nrows=100");
    assert!(attach(&more.root).await.report.warnings[0].contains("tells 100 rows, but its files have 131"));

    let cut = Copy::of(&order1);
    let bytes = fs::read(cut.path(leaf)).unwrap();
    fs::write(cut.path(leaf), &bytes[..bytes.len() - 100]).unwrap();
    let sentence = cut.refusal().await;
    assert!(sentence.contains(&format!("{leaf}: it is no whole Parquet file")), "{sentence}");
    fs::write(cut.path(leaf), [&bytes[..4], &bytes[500..]].concat()).unwrap();
    let sentence = cut.refusal().await;
    assert!(sentence.contains(leaf) && sentence.contains("fewer than its footer speaks of"), "{sentence}");
    fs::write(cut.path(leaf), b"").unwrap();
    assert!(cut.refusal().await.contains(leaf));
}

#[tokio::test]
async fn properties_that_cannot_be_followed_are_refused_by_the_key() {
    let Some(samples) = samples() else { return };
    let sample = samples.join("lsdb/small_sky_order1_default_columns");
    for (from, to, words) in [
        ("hats_nrows=131", "hats_nrows=4,000", "hats.properties: hats_nrows=4,000 should be a whole number"),
        ("dataproduct_type=object", "dataproduct_type=Object", "hats.properties: dataproduct_type=Object"),
        ("hats_col_ra=ra\n", "", "hats.properties: the key hats_col_ra is missing"),
        ("hats_col_ra=ra\n", "hats_col_ra=alpha\n", "names the column alpha, which is not there"),
        ("hats_npix_suffix=.parquet", "hats_npix_suffix=.parq", "Npix=44.parq is not there"),
    ] {
        let broken = Copy::of(&sample);
        broken.edit(from, to);
        let sentence = broken.refusal().await;
        assert!(sentence.contains(words), "{to}: {sentence}");
    }
    let nothing = Copy::of(&sample);
    nothing.remove("hats.properties");
    assert_eq!(attach(&nothing.root).await.report.rows, 131, "the second copy is enough");
    nothing.remove("properties");
    assert!(nothing.refusal().await.contains("it has no hats.properties, properties or collection.properties"));
}

#[tokio::test]
async fn what_is_odd_but_harmless_is_taken_with_a_warning() {
    let Some(samples) = samples() else { return };
    let sample = samples.join("lsdb/small_sky_order1_default_columns");
    for (file, words) in [("partition_info.csv", None), ("dataset/_metadata", None), ("dataset/_common_metadata", None)]
    {
        let bare = Copy::of(&sample);
        bare.remove(file);
        let report = attach(&bare.root).await.report;
        assert_eq!((report.rows, report.warnings.first().map(String::as_str)), (131, words), "{file}");
    }
    let bare = Copy::of(&sample);
    for file in ["partition_info.csv", "dataset/_metadata", "dataset/_common_metadata", "hats.properties"] {
        bare.remove(file);
    }
    let properties = "obs_collection : c\n! note\ncatalog_type = object\nra_column=ra\ndec_column=dec\nx\\:y=z\n";
    bare.write("properties", &format!("{properties}hats_cols_default=ra dec nothing\n"));
    fs::write(bare.path("dataset/data_thumbnail.parquet"), b"no leaf").unwrap();
    let attached = attach(&bare.root).await;
    let descriptor = attached.snapshot.descriptor();
    assert_eq!((attached.report.rows, descriptor.default_columns.len()), (131, 2));
    assert_eq!(descriptor.healpix.as_ref().map(|healpix| healpix.order), Some(29));
    let warnings = descriptor.warnings.join("\n");
    for words in ["no partition_info.csv", "no dataset/_common_metadata", "names the column nothing"] {
        assert!(warnings.contains(words), "{warnings}");
    }

    // A map that is stale or in RING order hides rows from others; it is not asked here.
    let map = Copy::of(&samples.join("lsdb/small_sky"));
    fs::write(map.path("point_map.fits"), b"SIMPLE = F / ORDERING= 'RING'").unwrap();
    assert_eq!(attach(&map.root).await.report.rows, 131);

    let orphan = Copy::of(&samples.join("built-0.11.1/small_sky_source_collection"));
    fs::remove_dir_all(orphan.path("small_sky_source_5arcmin")).unwrap();
    let report = attach(&orphan.root).await.report;
    assert_eq!((report.margins.len(), report.indexes.len()), (1, 2));
    assert!(report.warnings[0].starts_with("left out: its member small_sky_source_5arcmin: "), "{:?}", report.warnings);
}

#[tokio::test]
async fn leaf_files_may_differ_where_no_value_changes() {
    let Some(samples) = samples() else { return };
    let sample = samples.join("lsdb/small_sky_order1_default_columns");
    let differing = Copy::of(&sample);
    let leaf = |pixel: u8| format!("dataset/Norder=1/Dir=0/Npix={pixel}.parquet");
    differing.rewrite(&leaf(44), |batch| {
        let reversed: Vec<usize> = (0..batch.num_columns()).rev().collect();
        batch.project(&reversed).unwrap()
    });
    differing.rewrite(&leaf(45), |batch| with_column(&batch, "ra_error", None));
    differing.rewrite(&leaf(46), |batch| {
        let extra: ArrayRef = Arc::new(StringArray::from(vec!["x"; batch.num_rows()]));
        let id = cast(batch.column_by_name("id").unwrap(), &DataType::Int32).unwrap();
        with_column(&with_column(&batch, "extra", Some(extra)), "id", Some(id))
    });
    differing.rewrite(&leaf(47), |batch| {
        let nothing = arrow::array::new_null_array(&DataType::Null, batch.num_rows());
        with_column(&batch, "dec_error", Some(nothing))
    });
    let attached = attach(&differing.root).await;
    let original = attach(&sample).await;
    let names = |attached: &Attached| {
        let fields = attached.snapshot.schema().fields().clone();
        fields.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(&attached), names(&original));
    let warnings = attached.report.warnings.join("\n");
    for words in [
        "Npix=44.parquet: the columns are in another order",
        "Npix=45.parquet: there is no column ra_error; it is NULL there",
        "Npix=46.parquet: the column extra is not in dataset/_common_metadata and is left out",
        "Npix=46.parquet: the column id is Int32, and is read as Int64",
        "Npix=47.parquet: the column dec_error is Null, and is read as",
    ] {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }
    let ids = attached.snapshot.statistics("id").await.unwrap().unwrap();
    assert_eq!((ids.min.data_type(), ids.min.null_count()), (&DataType::Int64, 0));
    let errors = attached.snapshot.statistics("ra_error").await.unwrap().unwrap();
    assert_eq!(errors.nulls.iter().flatten().filter(|nulls| *nulls > 0).count(), 1);
}

#[tokio::test]
async fn text_may_be_plain_large_or_a_dictionary() {
    let Some(samples) = samples() else { return };
    let mixed = Copy::of(&samples.join("hats/small_sky_source"));
    let recast = |file: &str, data_type: DataType| {
        mixed.rewrite(file, |batch| {
            let band = cast(batch.column_by_name("band").unwrap(), &data_type).unwrap();
            with_column(&batch, "band", Some(band))
        });
    };
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    recast("dataset/Norder=2/Dir=0/Npix=176.parquet", dictionary);
    recast("dataset/Norder=2/Dir=0/Npix=177.parquet", DataType::Utf8View);
    let attached = attach(&mixed.root).await;
    let plain = attach(samples.join("hats/small_sky_source")).await;
    assert_eq!(attached.report.warnings, plain.report.warnings, "they are the same text");
    let bounds = attached.snapshot.statistics("band").await.unwrap().unwrap();
    assert_eq!((bounds.min.data_type(), bounds.min.null_count()), (&DataType::Utf8, 0));

    recast("dataset/Norder=2/Dir=0/Npix=178.parquet", DataType::LargeUtf8);
    let attached = attach(&mixed.root).await;
    assert_eq!(attached.snapshot.schema().field_with_name("band").unwrap().data_type(), &DataType::LargeUtf8);
    assert_eq!(rows_of(&attached.snapshot, &all(&attached.snapshot), &["band"]).await.num_rows(), 17_161);
}

#[tokio::test]
async fn leaf_files_whose_values_would_change_are_refused_by_the_column() {
    let Some(samples) = samples() else { return };
    let sample = samples.join("lsdb/small_sky_order1_default_columns");
    let leaf = "dataset/Norder=1/Dir=0/Npix=46.parquet";
    let of = |column: &'static str, values: fn(usize) -> ArrayRef| {
        let broken = Copy::of(&sample);
        broken.rewrite(leaf, |batch| with_column(&batch, column, Some(values(batch.num_rows()))));
        broken
    };
    let text = of("id", |rows| Arc::new(StringArray::from(vec!["700"; rows])));
    let sentence = text.refusal().await;
    assert!(
        sentence.contains(&format!("{leaf}: the column id is Utf8 there and Int64 in dataset/_common_metadata")),
        "{sentence}"
    );

    let large = of("ra", |rows| Arc::new(Int64Array::from(vec![(1 << 53) + 1; rows])));
    assert!(large.refusal().await.contains("its values may not fit without loss"));
    let whole = of("ra", |rows| Arc::new(Int64Array::from(vec![320; rows])));
    assert_eq!(attach(&whole.root).await.report.rows, 131);
    let wide = of("ra_error", |rows| Arc::new(Float64Array::from(vec![0.5; rows])));
    let attached = attach(&wide.root).await;
    assert_eq!(attached.snapshot.schema().field_with_name("ra_error").unwrap().data_type(), &DataType::Float64);
    let narrow = of("id", |rows| Arc::new(Int32Array::from(vec![7; rows])));
    let attached = attach(&narrow.root).await;
    assert_eq!(attached.snapshot.schema().field_with_name("id").unwrap().data_type(), &DataType::Int64);

    let twice = Copy::of(&sample);
    twice.rewrite(leaf, |batch| {
        let fields: Vec<_> =
            batch.schema().fields().iter().map(|field| field.as_ref().clone().with_name("id")).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec()).unwrap()
    });
    let sentence = twice.refusal().await;
    assert!(sentence.contains("two columns named id"), "{sentence}");
}

#[tokio::test]
async fn an_index_of_another_name_order_and_type_is_used_and_none_is_needed() {
    let Some(samples) = samples() else { return };
    let sample = samples.join("lsdb/small_sky_order1_default_columns");
    let leaves = [44, 45, 46, 47].map(|pixel| format!("dataset/Norder=1/Dir=0/Npix={pixel}.parquet"));
    let change = |tree: &Copy, change: fn(RecordBatch) -> RecordBatch| {
        tree.remove("dataset/_common_metadata");
        tree.remove("dataset/_metadata");
        leaves.iter().for_each(|leaf| tree.rewrite(leaf, change));
    };
    let coarse = Copy::of(&sample);
    coarse.edit(
        "hats_col_healpix=_healpix_29\nhats_col_healpix_order=29",
        "hats_col_healpix=h13\nhats_col_healpix_order=13",
    );
    change(&coarse, |batch| {
        let cells = batch.column_by_name("_healpix_29").unwrap();
        let cells: Int32Array =
            cells.as_primitive::<Int64Type>().iter().map(|cell| cell.map(|cell| (cell >> 32) as i32)).collect();
        let cells = cast(&cells, &DataType::UInt32).unwrap();
        with_column(&with_column(&batch, "_healpix_29", None), "h13", Some(cells))
    });
    let attached = attach(&coarse.root).await;
    let healpix = attached.snapshot.descriptor().healpix.clone().unwrap();
    assert_eq!((healpix.column.as_str(), healpix.order, attached.snapshot.descriptor().sorted), ("h13", 13, false));
    let fine = attach(&sample).await;
    for (coarse, fine) in attached.snapshot.files().iter().zip(fine.snapshot.files()) {
        let ((low, high), (first, last)) = (coarse.cells.unwrap(), fine.cells.unwrap());
        assert_eq!((low >> 32, high >> 32), (first >> 32, last >> 32));
        assert!(low <= first && high >= last && coarse.pixel == fine.pixel);
    }

    let none = Copy::of(&sample);
    none.edit("hats_col_healpix=_healpix_29\nhats_col_healpix_order=29\n", "");
    change(&none, |batch| with_column(&batch, "_healpix_29", None));
    let attached = attach(&none.root).await;
    assert_eq!(attached.snapshot.descriptor().healpix, None);
    for file in attached.snapshot.files() {
        let range = Pixel::new(Order::new(1).unwrap(), file.pixel.unwrap().index()).unwrap().range();
        assert_eq!(file.cells, Some((range.start, range.end - 1)));
    }
}

#[tokio::test]
async fn a_partition_may_be_a_folder_of_several_files_and_files_may_be_empty() {
    let Some(samples) = samples() else { return };
    let folders = Copy::of(&samples.join("hats/small_sky_npix_as_dir"));
    let part = |name: &str| format!("dataset/Norder=0/Dir=0/Npix=11/{name}");
    let rows = read_parquet(&folders.path(&part("part0.parquet")));
    write_parquet(&folders.path(&part("part0.parquet")), &rows.slice(0, 100));
    write_parquet(&folders.path(&part("b.snappy.parquet")), &rows.slice(100, 31));
    write_parquet(&folders.path(&part("c.parquet")), &rows.slice(0, 0));
    fs::write(folders.path(&part("_SUCCESS")), b"").unwrap();
    let attached = attach(&folders.root).await;
    assert_eq!((attached.report.rows, attached.report.files), (131, 3));
    assert_eq!(rows_of(&attached.snapshot, &all(&attached.snapshot), &["id"]).await.num_rows(), 131);
}

#[tokio::test]
async fn a_collection_may_name_its_members_by_absolute_paths_and_urls() {
    let Some(samples) = samples() else { return };
    let moved = Copy::of(&samples.join("lsdb/small_sky_order1_collection"));
    let root = moved.root.canonicalize().unwrap();
    let elsewhere = samples.join("lsdb/small_sky_xmatch_margin").canonicalize().unwrap();
    moved.write(
        "collection.properties",
        &format!(
            "name=c\nhats_primary_table_url=file://{0}/small_sky_order1\n\
             all_margins={0}/small_sky_order1_margin_1deg {1}\nall_indexes=id small_sky_order1_id_index/\ndefault_index=None\n",
            root.display(),
            elsewhere.display()
        ),
    );
    let attached = attach(&moved.root).await;
    let descriptor = attached.snapshot.descriptor();
    assert_eq!(descriptor.margins.len(), 1);
    assert_eq!(descriptor.margins[0].folder, "small_sky_order1_margin_1deg");
    assert_eq!(descriptor.indexes[0].folder, "small_sky_order1_id_index");
    assert!(descriptor.warnings[0].contains("lies outside the collection"), "{:?}", descriptor.warnings);
}
