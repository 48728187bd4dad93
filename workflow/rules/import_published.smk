# Features that were published, where our own steps 1 to 4 would have written theirs; steps after the seam never notice.
# No picture was published: the tables of what was seen in pictures are empty.
#
# INPUTS   data/published/{condition}/{scene,gt_full}.txt,
#          data/published/{condition}/features/{gru,hhclp,hhcls,hist,shoe_hist}_features.npy
# OUTPUTS  results/published_{condition}/scenes.parquet
#          results/published_{condition}/features/{gru_ae,hhcl_person,hhcl_shoe,color_hist,shoe_hist}.npz
#          results/published_{condition}/{frames,persons,person_crops,tracks,scene_detections}.parquet
#          results/published_{condition}/{sequences,shoes,shoe_crops}.parquet
#          data/labels/published_{condition}/{passes,appearances}.tsv


rule import_published:
    input:
        scenes="data/published/{condition}/scene.txt",
        appearances="data/published/{condition}/gt_full.txt",
        features=[
            "data/published/{condition}/features/gru_features.npy",
            "data/published/{condition}/features/hhclp_features.npy",
            "data/published/{condition}/features/hhcls_features.npy",
            "data/published/{condition}/features/hist_features.npy",
            "data/published/{condition}/features/shoe_hist_features.npy",
        ],
    output:
        scenes="results/published_{condition}/scenes.parquet",
        features=[
            "results/published_{condition}/features/gru_ae.npz",
            "results/published_{condition}/features/hhcl_person.npz",
            "results/published_{condition}/features/hhcl_shoe.npz",
            "results/published_{condition}/features/color_hist.npz",
            "results/published_{condition}/features/shoe_hist.npz",
        ],
        unseen=[
            "results/published_{condition}/frames.parquet",
            "results/published_{condition}/persons.parquet",
            "results/published_{condition}/person_crops.parquet",
            "results/published_{condition}/tracks.parquet",
            "results/published_{condition}/scene_detections.parquet",
            "results/published_{condition}/sequences.parquet",
            "results/published_{condition}/shoes.parquet",
            "results/published_{condition}/shoe_crops.parquet",
        ],
        passes="data/labels/published_{condition}/passes.tsv",
        appearances="data/labels/published_{condition}/appearances.tsv",
    log:
        "logs/published_{condition}/import_published.log",
    benchmark:
        "results/published_{condition}/seconds/import_published.tsv"
    wildcard_constraints:
        condition=one_of(videos["condition"][videos["source"] == "published"]),
    params:
        code=fingerprint("published", "arrays"),
    script:
        "../scripts/import_published.py"
