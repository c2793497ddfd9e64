"""The settings of A1111 v1.10.1 that name output folders, declared as it declares them."""

import os

from modules.options import OptionInfo, options_section

hide_dirs = {}
options_templates = {}


def templates(data_path, default_output_dir):
    options_templates.update(options_section(('saving-paths', "Paths for saving", "saving"), {
        "outdir_samples": OptionInfo("", "Output directory for images; if empty, defaults to three directories below", component_args=hide_dirs),
        "outdir_txt2img_samples": OptionInfo(os.path.join(default_output_dir, 'txt2img-images'), 'Output directory for txt2img images', component_args=hide_dirs),
        "outdir_grids": OptionInfo("", "Output directory for grids; if empty, defaults to two directories below", component_args=hide_dirs),
        "outdir_save": OptionInfo(os.path.join(data_path, 'log', 'images'), "Directory for saving images using the Save button", component_args=hide_dirs),
    }))
    options_templates.update(options_section(('saving-to-dirs', "Saving to a directory", "saving"), {
        "save_to_dirs": OptionInfo(True, "Save images to a subdirectory"),
        "grid_save_to_dirs": OptionInfo(True, "Save grids to a subdirectory").info("as the real one"),
        "disabled_extensions": OptionInfo([], "Disable these extensions"),
        'postprocessing_operation_order': OptionInfo([], "Postprocessing operation order"),
        "quicksettings_list": OptionInfo(["sd_model_checkpoint"], "Quicksettings list"),
        "sd_model_checkpoint": OptionInfo(None, "Stable Diffusion checkpoint"),
        "img_max_size_mp": OptionInfo(200, "Maximum image size", None, {"minimum": 1}),
    }))
    return options_templates
